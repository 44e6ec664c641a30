"""Logits in, one token per row out.

Every row is drawn by *inverting its cumulative distribution*: lay the tokens' probabilities end to
end on a line of length 1, throw one uniform dart, take the token it lands on. That needs a single
random number per row, where the Gumbel-max trick needs one per vocabulary entry.

Temperature, top-k and top-p come before the dart. Filtering is a threshold per row: both top-k and
top-p keep "everything at least as likely as this token", so once that token's logit is known, the
rest is one comparison and the tokens stay in vocabulary order. Rows with different settings thus
run through the same few lines.

Shapes: R rows, V vocabulary, C candidates (the largest few logits of a row, sorted).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from glassmind.generate.random_numbers import stream_keys, uniforms
from glassmind.generate.request import SamplingParams

# A nucleus seldom holds more tokens than this; where it does, the row is sorted in full.
NUCLEUS_CANDIDATES = 64


def filter_thresholds(logits_RV: Tensor, top_k_R: Tensor, top_p_R: Tensor) -> Tensor:
    """(R, 1): the least logit each row keeps. ``logits_RV`` are already divided by temperature.

    ``top_k_R`` (int64) 0 keeps all; ``top_p_R`` 1 keeps all. Top-p counts the probabilities that
    top-k left, renormalised.
    """
    vocab = logits_RV.shape[1]
    top_k_R1 = top_k_R.clamp(max=vocab)[:, None]
    all_of_k = top_k_R1 == 0
    n_candidates = max(int(top_k_R1.max()), NUCLEUS_CANDIDATES if bool((top_p_R < 1).any()) else 1)
    sorted_RC = logits_RV.topk(min(n_candidates, vocab), dim=1).values
    kth_R1 = sorted_RC.gather(1, (top_k_R1 - 1).clamp(min=0))
    threshold_R1 = kth_R1.masked_fill(all_of_k, -torch.inf)
    nucleus_R1 = top_p_R[:, None] < 1
    if not bool(nucleus_R1.any()):
        return threshold_R1

    peak_R1 = sorted_RC[:, :1]
    weights_RV = (logits_RV - peak_R1).exp_()
    weights_RV.masked_fill_(logits_RV < threshold_R1, 0)
    goal_R1 = weights_RV.sum(1, keepdim=True) * top_p_R[:, None]
    reached_RC = (sorted_RC - peak_R1).exp_().cumsum(1) >= goal_R1
    if not bool((reached_RC[:, -1:] | ~nucleus_R1).all()):
        sorted_RC = logits_RV.sort(dim=1, descending=True).values
        reached_RC = (sorted_RC - peak_R1).exp_().cumsum(1) >= goal_R1
        # Rounding can leave the whole sum a hair short of a top_p just below 1.
        reached_RC[:, -1] = True
    # The first True of each row closes its nucleus (argmax returns the first of equals).
    closing_R1 = sorted_RC.gather(1, reached_RC.to(torch.int8).argmax(1, keepdim=True))
    return torch.where(nucleus_R1, torch.maximum(threshold_R1, closing_R1), threshold_R1)


class Sampler:
    """The sampling settings of R rows as tensors, and the draw itself.

    ``params[r]`` and ``samples[r]`` (the index of the sample within its request) belong to row r.
    """

    def __init__(
        self, params: Sequence[SamplingParams], samples: Sequence[int], device: torch.device
    ) -> None:
        seeds_R = torch.tensor([p.seed & ((1 << 63) - 1) for p in params])
        self._keys_R = stream_keys(seeds_R, torch.tensor(samples)).to(device)
        self._temperature_R = torch.tensor([p.temperature for p in params], device=device)
        self._top_k_R = torch.tensor([p.top_k for p in params], device=device)
        self._top_p_R = torch.tensor([p.top_p for p in params], device=device)
        self._choose_path()

    def _choose_path(self) -> None:
        """Ask once per set of rows, not once per step, which work can be skipped."""
        self._greedy_R = self._temperature_R == 0
        self._some_greedy = bool(self._greedy_R.any())
        self._all_greedy = bool(self._greedy_R.all())
        self._divisor_R1 = self._temperature_R.masked_fill(self._greedy_R, 1)[:, None]
        self._all_at_one = bool((self._divisor_R1 == 1).all())
        filtered_R = ((self._top_k_R > 0) | (self._top_p_R < 1)) & ~self._greedy_R
        self._filtered = filtered_R.nonzero()[:, 0]

    def keep(self, rows: Tensor) -> None:
        """Forget all rows but ``rows`` (int64 indices), in that order."""
        self._keys_R = self._keys_R[rows]
        self._temperature_R = self._temperature_R[rows]
        self._top_k_R = self._top_k_R[rows]
        self._top_p_R = self._top_p_R[rows]
        self._choose_path()

    def draw(self, logits_RV: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """The token of each row at ``step`` of its generation: ids int64 (R,), logprobs (R,).

        The log-probabilities are the model's own: temperature 1, whole vocabulary, natural log.
        Logits that are not numbers give log-probabilities that are not numbers.
        """
        logits_RV = logits_RV.float()
        if self._all_greedy:
            tokens_R1 = logits_RV.argmax(1, keepdim=True)
            log_total_R1 = logits_RV.logsumexp(1, keepdim=True)
            return tokens_R1[:, 0], (logits_RV.gather(1, tokens_R1) - log_total_R1)[:, 0]

        peak_R1 = logits_RV.amax(1, keepdim=True)
        # Subtracting the peak first keeps a small temperature from overflowing.
        scaled_RV = logits_RV - peak_R1
        if not self._all_at_one:
            scaled_RV.div_(self._divisor_R1)
        if len(self._filtered):
            self._filter(scaled_RV)
        # Tokens are laid end to end; the dart lands in the first whose end lies beyond it.
        ends_RV = scaled_RV.exp_().cumsum_(1)
        total_R1 = ends_RV[:, -1:].clone()
        dart_R1 = uniforms(self._keys_R, step)[:, None] * total_R1
        tokens_R1 = torch.searchsorted(ends_RV, dart_R1, right=True)
        tokens_R1.clamp_(max=logits_RV.shape[1] - 1)  # only not-a-number rows run off the end
        if self._some_greedy:
            best_R1 = logits_RV.argmax(1, keepdim=True)
            tokens_R1 = torch.where(self._greedy_R[:, None], best_R1, tokens_R1)
        if self._all_at_one and not len(self._filtered):
            log_total_R1 = peak_R1 + total_R1.log()
        else:
            log_total_R1 = logits_RV.logsumexp(1, keepdim=True)
        return tokens_R1[:, 0], (logits_RV.gather(1, tokens_R1) - log_total_R1)[:, 0]

    def _filter(self, scaled_RV: Tensor) -> None:
        """Set the logits of the tokens that top-k and top-p leave out to -inf, in place."""
        rows = self._filtered
        if len(rows) == len(scaled_RV):
            thresholds = filter_thresholds(scaled_RV, self._top_k_R, self._top_p_R)
            scaled_RV.masked_fill_(scaled_RV < thresholds, -torch.inf)
        else:
            some_RV = scaled_RV[rows]
            thresholds = filter_thresholds(some_RV, self._top_k_R[rows], self._top_p_R[rows])
            scaled_RV[rows] = some_RV.masked_fill_(some_RV < thresholds, -torch.inf)
