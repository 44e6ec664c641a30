"""Logits in, one token per row out.

Every row is sampled by *inverting its cumulative distribution*: lay the tokens' probabilities end
to end on a line of length 1, choose a uniform random point, take the token it falls on. That needs
a single random number per row, where the Gumbel-max trick needs one per vocabulary entry.

Before that, in this order: biases and penalties change single logits (``penalties``), a constraint
removes tokens, the temperature divides, and top-k, top-p and min-p remove the unlikely
(``filters``); ``SamplingParams`` defines each. A step that no row of the batch asks for is skipped.

Two log-probabilities come with each token: under the unmodified model, and under the distribution
the token was drawn from. The second costs one lookup a row, since the draw has already summed
that distribution's weights.

Shapes: R rows, V vocabulary, U different settings, C most likely tokens asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from glassmind.errors import UserError
from glassmind.generate.request import SamplingParams
from glassmind.generate.sampling.filters import filter_thresholds
from glassmind.generate.sampling.penalties import Biases, penalise
from glassmind.generate.sampling.random_numbers import (
    GUESSING,
    JUDGING,
    branch,
    land,
    stream_keys,
    uniforms,
)
from glassmind.generate.speculative.acceptance import Guesses, draw_or_keep

Histories = Sequence[tuple[Sequence[int], Sequence[int]]]
"""For each row that has penalties: the ids of its prompt, and those that follow it."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """The token of each row, int64 (R,), and its natural log-probabilities, float32 (R,).

    ``logprobs_R`` are the unmodified model's: temperature 1, whole vocabulary.
    ``sampled_logprobs_R`` are under the distribution the token was drawn from: after biases,
    penalties, constraint, temperature and filters, renormalised over the tokens that are left.
    Greedy rows have 0 there, probability 1; where nothing modifies any row, both are one tensor.
    NaN logits give NaN in both.

    ``top`` holds the likeliest tokens if any row asked for them: ids and log-probabilities (R, C),
    likeliest first, where C is the most that any row asked for. Other rows hold zeros.
    """

    tokens_R: Tensor
    logprobs_R: Tensor
    sampled_logprobs_R: Tensor
    top: tuple[Tensor, Tensor] | None = None


class Sampler:
    """The sampling settings of R rows as tensors, and the draw itself.

    ``params[r]`` and ``samples[r]`` (the index of the sample within its request) belong to row r.
    ``needs_history`` lists the rows that have penalties, ascending.
    """

    def __init__(
        self, params: Sequence[SamplingParams], samples: Sequence[int], device: torch.device
    ) -> None:
        # Samples of one request share their settings: U settings are looked at, not R.
        number_of: dict[int, int] = {}
        self._set_R = torch.tensor([number_of.setdefault(id(p), len(number_of)) for p in params])
        by_id = {id(p): p for p in params}
        self._params_U = [by_id[key] for key in number_of]
        seeds_U = torch.tensor([p.seed & ((1 << 63) - 1) for p in self._params_U])
        self._keys_R = stream_keys(seeds_U[self._set_R], torch.tensor(samples)).to(device)
        self._device = device
        self._arrange()

    def _arrange(self) -> None:
        """Find out which work can be skipped, once per set of rows rather than at every step."""
        everyone = self._params_U
        params = [everyone[i] for i in self._set_R.unique().tolist()]

        def rows(of: Callable[[SamplingParams], object]) -> Tensor:
            """The rows for whose settings ``of`` is true."""
            return torch.tensor([bool(of(p)) for p in everyone])[self._set_R].nonzero()[:, 0]

        def values(of: Callable[[SamplingParams], float], rows: Tensor | slice) -> Tensor:
            """The value of ``of`` for the settings of each of these rows."""
            return torch.tensor([of(p) for p in everyone])[self._set_R[rows]].to(self._device)

        self._some_greedy = any(p.temperature == 0 for p in params)
        self._all_greedy = all(p.temperature == 0 for p in params)
        self._all_at_one = all(p.temperature in (0, 1) for p in params)
        temperature_R = values(lambda p: float(p.temperature), slice(None))
        self._greedy_R = temperature_R == 0
        self._divisor_R1 = temperature_R.masked_fill(self._greedy_R, 1)[:, None]
        filtered = rows(lambda p: p.temperature != 0 and (p.top_k or p.top_p < 1 or p.min_p))
        self._all_filtered = 0 < len(filtered) == len(self._set_R)
        self._filtered = filtered.to(self._device)
        # No vocabulary has 2^31 entries, and a tensor cannot hold 10^30.
        self._top_k = values(lambda p: min(p.top_k, 1 << 31), filtered)
        self._top_p = values(lambda p: float(p.top_p), filtered)
        self._min_p = values(lambda p: float(p.min_p), filtered)
        biased = rows(lambda p: p.logit_bias).tolist()
        self._biases = Biases(biased, [self._params(row) for row in biased], self._device)
        self.needs_history: list[int] = rows(lambda p: p.penalised).tolist()
        self._asking = rows(lambda p: p.top_logprobs).to(self._device)
        self._n_top = max((p.top_logprobs for p in params), default=0)

    def _params(self, row: int) -> SamplingParams:
        return self._params_U[int(self._set_R[row])]

    def draw(
        self,
        logits_RV: Tensor,
        steps: int | Tensor,
        histories: Histories | None = None,
        allowed: Mapping[int, Tensor] | None = None,
        guesses: Guesses | None = None,
    ) -> Drawn:
        """The next token of each row.

        ``steps`` is how many tokens each row has drawn before, one for all or int64 (R,): with the
        seed and the sample it decides the random number. ``histories[i]`` belongs to row
        ``needs_history[i]``. ``allowed`` maps each constrained row to its mask, bool (V,), True
        where a token may come next. ``guesses`` are a draft model's; ``acceptance`` decides
        which are kept. Their rows must not be greedy.

        Raises ``UserError`` for a row whose mask allows no token.
        """
        logits_RV = logits_RV.float()
        asked_RV = self._as_asked(logits_RV, histories, allowed)
        log_total_R1: Tensor | None = None  # of the unmodified logits
        log_kept_R1: Tensor | None = None  # of what was drawn from, relative to its peak
        if self._all_greedy:
            tokens_R1 = asked_RV.argmax(1, keepdim=True)
        else:
            peak_R1, weights_RV = self._weights(asked_RV)
            judged_N1 = None if guesses is None else self._judge(guesses, weights_RV, steps)
            tokens_R1, total_R1 = land(weights_RV, uniforms(self._keys_R, steps))
            if self._some_greedy:
                best_R1 = asked_RV.argmax(1, keepdim=True)
                tokens_R1 = torch.where(self._greedy_R[:, None], best_R1, tokens_R1)
            if guesses is not None and judged_N1 is not None:
                tokens_R1[guesses.rows_N] = judged_N1
            log_kept_R1 = total_R1.log()
            if self._all_at_one and not len(self._filtered) and asked_RV is logits_RV:
                log_total_R1 = peak_R1 + log_kept_R1
        unmodified = log_total_R1 is not None
        if log_total_R1 is None:
            log_total_R1 = logits_RV.logsumexp(1, keepdim=True)
        chosen_R1 = logits_RV.gather(1, tokens_R1)
        logprobs_R = (chosen_R1 - log_total_R1)[:, 0]
        if log_kept_R1 is None:
            sampled_R = torch.zeros_like(logprobs_R)
        elif unmodified and not self._some_greedy:
            sampled_R = logprobs_R
        else:
            # As in _weights: exp(scaled) was the token's weight, exp(log_kept) is their sum.
            if asked_RV is not logits_RV:
                chosen_R1 = asked_RV.gather(1, tokens_R1)
            scaled_R1 = (chosen_R1 - peak_R1).div_(self._divisor_R1)
            sampled_R = scaled_R1.sub_(log_kept_R1).clamp_(max=0)[:, 0]
            if self._some_greedy:
                sampled_R.masked_fill_(self._greedy_R, 0)
        top = self._top(logits_RV, log_total_R1)
        return Drawn(tokens_R1[:, 0], logprobs_R, sampled_R, top)

    def guess(
        self, logits_RV: Tensor, steps: Tensor, histories: Histories | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """A guess for each row (R,) from a draft model's logits, and its distribution (R, V).

        The random numbers are independent of those of ``draw``. Where all rows are greedy the
        distribution is ``None``: a greedy guess is accepted if it equals the model's choice.
        """
        if self._all_greedy:
            return self._as_asked(logits_RV.float(), histories, None).argmax(1), None
        draft_probs_RV = self.distribution(logits_RV, histories)
        darts_R = uniforms(branch(self._keys_R, GUESSING), steps)
        return land(draft_probs_RV.clone(), darts_R)[0][:, 0], draft_probs_RV

    def _judge(self, guesses: Guesses, weights_RV: Tensor, steps: int | Tensor) -> Tensor:
        """The token in the place of each guess, (N, 1); ``weights_RV`` is not changed."""
        weights_NV = weights_RV[guesses.rows_N]
        target_NV = weights_NV.div_(weights_NV.sum(1, keepdim=True))
        chances_R = uniforms(branch(self._keys_R, JUDGING), steps)
        darts_R = uniforms(self._keys_R, steps)
        return draw_or_keep(
            guesses.tokens_N,
            guesses.draft_probs_NV,
            target_NV,
            chances_R[guesses.rows_N],
            darts_R[guesses.rows_N],
        )[:, None]

    def distribution(
        self,
        logits_RV: Tensor,
        histories: Histories | None = None,
        allowed: Mapping[int, Tensor] | None = None,
    ) -> Tensor:
        """float32 (R, V): the probabilities that ``draw`` draws from; one-hot for greedy rows."""
        asked_RV = self._as_asked(logits_RV.float(), histories, allowed)
        _, weights_RV = self._weights(asked_RV)
        probabilities_RV = weights_RV.div_(weights_RV.sum(1, keepdim=True))
        if self._some_greedy:
            one_hot_RV = torch.zeros_like(asked_RV).scatter_(1, asked_RV.argmax(1, keepdim=True), 1)
            probabilities_RV = torch.where(self._greedy_R[:, None], one_hot_RV, probabilities_RV)
        return probabilities_RV

    def _as_asked(
        self, logits_RV: Tensor, histories: Histories | None, allowed: Mapping[int, Tensor] | None
    ) -> Tensor:
        """The logits after biases, penalties and masks; ``logits_RV`` itself if no row has any."""
        if not len(self._biases) and not self.needs_history and not allowed:
            return logits_RV
        asked_RV = logits_RV.clone()
        if len(self._biases):
            self._biases.add_to(asked_RV)
        if self.needs_history:
            if histories is None:
                raise ValueError("rows with penalties need their histories")
            penalised = [self._params(row) for row in self.needs_history]
            penalise(asked_RV, self.needs_history, penalised, histories)
        if allowed:
            # With numpy: a torch operation on each row would start all threads each time.
            masks = np.stack([mask.numpy() for mask in allowed.values()])
            if not masks.any(1).all():
                raise UserError(
                    "the constraint allows no token of this vocabulary to follow what was "
                    "generated; loosen it, or use a model whose vocabulary can spell what it asks"
                )
            forbidden = torch.from_numpy(~masks).to(asked_RV.device)
            if list(allowed) == list(range(len(asked_RV))):
                asked_RV.masked_fill_(forbidden, -torch.inf)
            else:
                rows = torch.tensor(list(allowed), device=asked_RV.device)
                asked_RV[rows] = asked_RV[rows].masked_fill_(forbidden, -torch.inf)
        return asked_RV

    def _weights(self, asked_RV: Tensor) -> tuple[Tensor, Tensor]:
        """The largest logit of each row (R, 1), and its tokens' weights in the draw (R, V).

        A row's weights are its probabilities times a constant. The weights of greedy rows are
        computed with temperature 1 and not used.
        """
        peak_R1 = asked_RV.amax(1, keepdim=True)
        # Subtracting the peak first keeps a small temperature from overflowing.
        scaled_RV = asked_RV - peak_R1
        if not self._all_at_one:
            scaled_RV.div_(self._divisor_R1)
        if self._all_filtered:
            thresholds = filter_thresholds(scaled_RV, self._top_k, self._top_p, self._min_p)
            scaled_RV.masked_fill_(scaled_RV < thresholds, -torch.inf)
        elif len(self._filtered):
            some_RV = scaled_RV[self._filtered]
            thresholds = filter_thresholds(some_RV, self._top_k, self._top_p, self._min_p)
            scaled_RV[self._filtered] = some_RV.masked_fill_(some_RV < thresholds, -torch.inf)
        return peak_R1, scaled_RV.exp_()

    def _top(self, logits_RV: Tensor, log_total_R1: Tensor) -> tuple[Tensor, Tensor] | None:
        if not self._n_top:
            return None
        n_top = min(self._n_top, logits_RV.shape[1])
        values, ids = logits_RV[self._asking].topk(n_top, dim=1)
        ids_RC = ids.new_zeros(len(logits_RV), n_top)
        logprobs_RC = values.new_zeros(len(logits_RV), n_top)
        ids_RC[self._asking] = ids
        logprobs_RC[self._asking] = values - log_total_R1[self._asking]
        return ids_RC, logprobs_RC
