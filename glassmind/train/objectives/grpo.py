"""Learning from reward by policy gradients: GRPO, and what was published to improve it.

    A   = the advantage of a completion                         ``policy.advantages``
    ρ_t = π(y_t) / π_old(y_t)                                   ``policy.ratios``
    L   = Σ_t share_t · [ - min(ρ_t A, clip(ρ_t, 1 - clip_low, 1 + clip_high) A)  +  kl · k3_t ]

(GRPO: Shao et al. 2024, arXiv 2402.03300.) That is the default; ``policy.terms`` has the whole
equation, and ``policy.options`` the switches that make it Dr. GRPO, DAPO, GSPO, CISPO, RLOO,
REINFORCE++ or GDPO. This file computes the log-probabilities that the equation needs.
They are those at the temperature that the completions were sampled with.

**The first pass.** Before the first update from a set of samples, the policy is the one that drew
them, and every ratio should be 1. With ``old = "sampler"``, π_old are the engine's probabilities,
which differ in rounding; ``ratio_first`` tells by how much. With ``old = "trainer"``, π_old is what
this file computes in the first pass, so that the ratio is exactly 1. That is checked: if a second
pass over the same tokens gave other numbers (dropout, kernels that are not deterministic), every
later ratio would be wrong, and the run stops.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glassmind.data.batches.columns import COMPLETION, Column
from glassmind.data.batches.packing import PackedRows
from glassmind.errors import UserError
from glassmind.model import Transformer
from glassmind.train.batch import Batch, to_device
from glassmind.train.objectives.chunked_loss import chunk_rows
from glassmind.train.objectives.objective import Loss, Objective
from glassmind.train.objectives.policy.options import PolicyOptions
from glassmind.train.objectives.policy.ratios import bounded_correction, log_weights
from glassmind.train.objectives.policy.terms import clipped, policy_terms, term_shares
from glassmind.train.state import Saved

ADVANTAGE = Column("advantage", "float32", 0.0)
"""The advantage of a token's completion."""

SAMPLED_LOGPROB = Column("sampled_logprob", "float32", 0.0)
"""The log-probability with which the sampler drew a token."""

OLD_LOGPROB = Column("old_logprob", "float32", 0.0)
"""The log-probability of a token below the ratio. On the first pass, with ``old = "trainer"``, it
is not read."""

FIRST_PASS = Column("first_pass", "int64", -1)
"""On the first pass over a set of samples, the number of the token among all sampled tokens of the
set, from 0, or ``NOT_SAMPLED``; on later passes -1."""

NOT_SAMPLED = -2
"""What ``FIRST_PASS`` says of prompts, padding and what is not learned."""

Record = Callable[[NDArray[np.int64], Tensor, Tensor | None], None]
"""Gets, on the first pass, the numbers of N tokens and their log-probabilities (N,) under the
trainer and, if the loss needs them, under the reference."""

Place = tuple[Tensor, Tensor]


class GRPO(Objective):
    """The loss above, over completions in the columns ``COMPLETION``, ``ADVANTAGE``,
    ``SAMPLED_LOGPROB``, ``OLD_LOGPROB`` and ``FIRST_PASS``. A completion is a branch of its
    question's document.

    If ``options.kl`` is above 0, a copy of the policy at the start is kept as the reference.
    ``record`` is called on every first pass.
    """

    module: Transformer
    largest = frozenset({"ratio_first", "logprob_diff", "correction_log"})

    def __init__(
        self, policy: Transformer, options: PolicyOptions, *, temperature: float = 1.0
    ) -> None:
        self.module, self.options, self.temperature = policy, options, temperature
        self.reference = (
            copy.deepcopy(policy).requires_grad_(False).eval() if options.kl > 0 else None
        )
        self.record: Record | None = None
        self._repeatable = options.old == "sampler"  # or it is not known yet

    @property
    def saved(self) -> Mapping[str, Saved]:
        """The reference model, if there is one."""
        return {} if self.reference is None else {"reference": self.reference}

    def weight(self, batch: Batch) -> float:
        """The number of terms of the mean: tokens or completions."""
        if self.options.normalisation == "token":
            return float(np.count_nonzero(batch.rows[COMPLETION]))
        return float(len(np.unique(completion_numbers(batch.rows))))

    def loss(self, batch: Batch) -> Loss:
        at = batch.indices(batch.rows[COMPLETION])
        self.require_repeatable(batch, at)
        return self.loss_of(batch, at, self.hidden(self.module, batch, at))

    def loss_of(self, batch: Batch, at: Place, hidden_ND: Tensor) -> Loss:
        """The loss, given the policy's hidden states before the N sampled tokens."""
        logits_NV = self._logits(self.module, hidden_ND)
        logprob_N = self._chosen(logits_NV, batch, at)
        reference_N = self.reference_logprobs(batch) if self.options.kl_in_loss else None
        first = bool((batch.rows[FIRST_PASS] != -1).any())
        own = first and self.options.old == "trainer"
        device = batch.ids.device
        sampled_N = batch[SAMPLED_LOGPROB][at]
        old_N = logprob_N.detach() if own else batch[OLD_LOGPROB][at]
        advantage_N = batch[ADVANTAGE][at]
        completion = completion_numbers(batch.rows)
        completion_N = to_device(completion, device)
        terms_N = policy_terms(
            logprob_N, old_N, advantage_N, completion_N, self.options, sampled_N, reference_N
        )
        share_N = to_device(term_shares(completion, self.options), device, torch.float32)
        with torch.no_grad():
            low_N, high_N = clipped(logprob_N, old_N, advantage_N, completion_N, self.options)
            figures: dict[str, float | Tensor] = {
                "entropy": _mean(_entropies(logits_NV)),
                "clipped": _mean((low_N | high_N).float()),
                "clipped_low": _mean(low_N.float()),
                "clipped_high": _mean(high_N.float()),
            }
            if reference_N is not None:
                behind_N = reference_N - logprob_N
                figures["kl"] = _mean(behind_N.exp() - behind_N - 1)
            if self.options.correction != "none":
                level = self.options.correction_level
                log_N = log_weights(old_N, sampled_N, completion_N, level)
                changed_N = bounded_correction(log_N, self.options) != log_N.exp()
                figures["correction_log"] = _largest(log_N)
                figures["corrected"] = _mean(changed_N.float())
            if first:
                ratio_N = (logprob_N - old_N).exp()
                figures["ratio_first"] = _largest(ratio_N - 1)
                figures["logprob_diff"] = _largest(logprob_N - sampled_N)
                if self.record is not None:
                    numbers_N = batch.rows[FIRST_PASS][batch.rows[COMPLETION]]
                    self.record(numbers_N, logprob_N.detach(), reference_N)
        return (terms_N * share_N).sum(), figures

    @torch.no_grad()
    def reference_logprobs(self, batch: Batch) -> Tensor:
        """The reference's log-probability of each of the N sampled tokens of the batch, (N,)."""
        assert self.reference is not None
        at = batch.indices(batch.rows[COMPLETION])
        return self.logprobs(self.reference, batch, at, self.hidden(self.reference, batch, at))

    def require_repeatable(self, batch: Batch, at: Place) -> None:
        """Compute a batch twice, once in the life of the objective, and compare. Does nothing if
        the trainer's probabilities are not those below the ratio.

        Raises:
            UserError: the log-probabilities differ.
        """
        if self._repeatable:
            return
        # With gradients and before the real pass: the same kernels, and one pass's memory.
        once_N, again_N = (
            self.logprobs(self.module, batch, at, self.hidden(self.module, batch, at)).detach()
            for _ in range(2)
        )
        if not torch.equal(once_N, again_N):
            raise UserError(
                "two passes over the same samples give log-probabilities that differ by up to "
                f"{float(_largest(once_N - again_N)):.2g}, so the ratio on the first mini-batch is "
                'not 1: switch dropout off, or set options.old to "sampler"'
            )
        self._repeatable = True

    @staticmethod
    def hidden(model: Transformer, batch: Batch, at: Place) -> Tensor:
        """The hidden states (N, D) from which the tokens at (row, column) are predicted."""
        rows, columns = at
        hidden_BTD = model.hidden(
            batch.ids, positions=batch.positions, mask=batch.mask, previous=batch.previous
        )
        return hidden_BTD[rows, batch.previous[rows, columns]]

    def logprobs(self, model: Transformer, batch: Batch, at: Place, hidden_ND: Tensor) -> Tensor:
        """The log-probability (N,) of the tokens at (row, column), at the sampling temperature."""
        return self._chosen(self._logits(model, hidden_ND), batch, at)

    def _logits(self, model: Transformer, hidden_ND: Tensor) -> Tensor:
        """The logits (N, V) that the tokens were drawn from."""
        return model.unembed(hidden_ND).float() / self.temperature

    @staticmethod
    def _chosen(logits_NV: Tensor, batch: Batch, at: Place) -> Tensor:
        """The log-probability (N,) of the tokens at (row, column)."""
        chosen_N = logits_NV.gather(1, batch.ids[at][:, None])[:, 0]
        return chosen_N - logits_NV.logsumexp(1)


def _entropies(logits_NV: Tensor) -> Tensor:
    """The entropy (nats) of each distribution, (N,), in chunks: they would double the memory."""
    if not len(logits_NV):
        return logits_NV.new_zeros(0)
    found = []
    for chunk_CV in logits_NV.split(chunk_rows(logits_NV.shape[1])):
        log_CV = chunk_CV.log_softmax(1)
        found.append(-(log_CV.exp() * log_CV).sum(1))
    return torch.cat(found)


def _mean(values_N: Tensor) -> Tensor:
    return values_N.sum() / max(len(values_N), 1)


def _largest(values_N: Tensor) -> Tensor:
    return values_N.abs().max() if len(values_N) else values_N.new_zeros(())


def completion_numbers(rows: PackedRows) -> NDArray[np.int64]:
    """For each of the N tokens of completions, the number of its completion in the batch."""
    at = rows[COMPLETION].nonzero()
    places = np.stack([at[0], rows.documents[at], rows.branches[at]])
    return np.unique(places, axis=1, return_inverse=True)[1].reshape(-1)
