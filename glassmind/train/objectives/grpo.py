"""Group relative policy optimisation (GRPO): learns from rewards compared within a group.

    A_i = (R_i - mean(R)) / (std(R) + 1e-4)                     over the group of one question
    r_t = π(y_t) / π_old(y_t)                                   π_old drew the completion
    L   = - mean over t of  min(r_t A, clip(r_t, 1 - clip_low, 1 + clip_high) A)  +  kl · k3_t
    k3  = q - log q - 1,   q = π_reference(y_t) / π(y_t)

(GRPO: Shao et al. 2024, arXiv 2402.03300; the clipped ratio: Schulman et al. 2017, arXiv
1707.06347; k3: Schulman 2020, "Approximating KL divergence".) ``normalisation`` chooses the mean:

    sequence   over the tokens of each completion, then over completions: GRPO as published. A token
               of a long completion then counts less, so that long wrong completions are punished
               less
    token      over all tokens alike (DAPO: Yu et al. 2025, arXiv 2503.14476)
    constant   the sum, divided by the number of completions times a constant length, so that no
               length is preferred (Dr. GRPO: Liu et al. 2025, arXiv 2503.20783)

With ``clip_high`` above ``clip_low``, unlikely tokens may grow further (DAPO's clip-higher).
Log-probabilities are those at the temperature that the completions were sampled with.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glassmind.data.batches.columns import COMPLETION, Column
from glassmind.data.batches.packing import PackedRows
from glassmind.model import Transformer
from glassmind.train.batch import Batch, to_device
from glassmind.train.objectives.objective import Loss, Objective
from glassmind.train.state import Saved

Normalisation = Literal["sequence", "token", "constant"]

ADVANTAGE = Column("advantage", "float32", 0.0)
"""The advantage of a token's completion over its group."""

OLD_LOGPROB = Column("old_logprob", "float32", 0.0)
"""The log-probability of a token when it was drawn."""

REWARD = Column("reward", "float32", 0.0)
"""The reward of a token's completion, for the log."""


def group_advantages(rewards: Sequence[float], *, scaled: bool = True) -> list[float]:
    """The advantage of each completion of one question.

    ``scaled`` divides by the group's standard deviation, as published; without it questions that
    are nearly always or nearly never solved do not count more than others (Dr. GRPO). If all
    rewards are equal, every advantage is 0, and nothing is learned from the group.
    """
    array = np.asarray(rewards, np.float64)
    centred = array - array.mean()
    # The standard deviation of a sample (n - 1), as in PyTorch and the published code.
    spread = array.std(ddof=1) + 1e-4 if scaled and len(array) > 1 else 1.0
    return [float(value) for value in centred / spread]


class GRPO(Objective):
    """The loss above, over completions in the columns ``COMPLETION``, ``ADVANTAGE``,
    ``OLD_LOGPROB`` and ``REWARD``. A completion is a branch of its question's document.

    If ``kl`` is above 0, a copy of the policy at the start is kept as the reference.
    """

    module: Transformer

    def __init__(
        self,
        policy: Transformer,
        *,
        clip_low: float = 0.2,
        clip_high: float = 0.2,
        normalisation: Normalisation = "token",
        constant_length: int = 1,
        kl: float = 0.0,
        temperature: float = 1.0,
    ) -> None:
        self.module = policy
        self.clip_low, self.clip_high = clip_low, clip_high
        self.normalisation, self.constant_length = normalisation, constant_length
        self.kl, self.temperature = kl, temperature
        self.reference = copy.deepcopy(policy).requires_grad_(False) if kl > 0 else None

    @property
    def saved(self) -> Mapping[str, Saved]:
        """The reference model, if there is one."""
        return {} if self.reference is None else {"reference": self.reference}

    def weight(self, batch: Batch) -> float:
        """The number of terms of the mean: tokens or completions."""
        if self.normalisation == "token":
            return float(np.count_nonzero(batch.rows[COMPLETION]))
        return float(len(np.unique(completion_numbers(batch.rows))))

    def loss(self, batch: Batch) -> Loss:
        at = batch.indices(batch.rows[COMPLETION])
        logprob_N = self._logprobs(self.module, batch, at)
        advantage_N, old_N = batch[ADVANTAGE][at], batch[OLD_LOGPROB][at]
        ratio_N = (logprob_N - old_N).exp()
        clipped_N = ratio_N.clamp(1 - self.clip_low, 1 + self.clip_high)
        terms_N = -torch.minimum(ratio_N * advantage_N, clipped_N * advantage_N)
        share_N = to_device(self._shares(batch.rows), batch.ids.device, torch.float32)
        figures: dict[str, float | Tensor] = {}
        if self.reference is not None:
            with torch.no_grad():
                reference_N = self._logprobs(self.reference, batch, at)
            behind_N = reference_N - logprob_N
            k3_N = behind_N.exp() - behind_N - 1
            terms_N = terms_N + self.kl * k3_N
            figures["kl"] = k3_N.detach().mean()
        with torch.no_grad():
            by_sequence_N = to_device(sequence_shares(batch.rows), batch.ids.device, torch.float32)
            figures["reward"] = (batch[REWARD][at] * by_sequence_N).sum()
            figures["clipped"] = (clipped_N * advantage_N < ratio_N * advantage_N).float().mean()
            figures["logprob_diff"] = (logprob_N - old_N).abs().mean()
        return (terms_N * share_N).sum(), figures

    def _logprobs(self, model: Transformer, batch: Batch, at: tuple[Tensor, Tensor]) -> Tensor:
        """Log-probability (N,) of the tokens at (row, column), each given those before it."""
        rows, columns = at
        hidden_BTD = model.hidden(
            batch.ids, positions=batch.positions, mask=batch.mask, previous=batch.previous
        )
        hidden_ND = hidden_BTD[rows, batch.previous[rows, columns]]
        logits_NV = model.unembed(hidden_ND).float() / self.temperature
        chosen_N = logits_NV.gather(1, batch.ids[rows, columns][:, None])[:, 0]
        return chosen_N - logits_NV.logsumexp(1)

    def _shares(self, rows: PackedRows) -> NDArray[np.float64]:
        """The weight of each of the N terms in the loss."""
        if self.normalisation == "sequence":
            return sequence_shares(rows)
        number_N = completion_numbers(rows)
        terms = len(number_N)
        if self.normalisation == "constant":
            terms = len(np.unique(number_N)) * self.constant_length
        return np.full(len(number_N), 1 / max(terms, 1))


def completion_numbers(rows: PackedRows) -> NDArray[np.int64]:
    """For each of the N tokens of completions, the number of its completion in the batch."""
    at = rows[COMPLETION].nonzero()
    places = np.stack([at[0], rows.documents[at], rows.branches[at]])
    return np.unique(places, axis=1, return_inverse=True)[1].reshape(-1)


def sequence_shares(rows: PackedRows) -> NDArray[np.float64]:
    """For each of the N tokens of completions, 1 / (its completion's length x completions)."""
    number_N = completion_numbers(rows)
    if not len(number_N):
        return np.zeros(0)
    lengths = np.bincount(number_N)
    return 1 / (lengths[number_N] * len(lengths))
