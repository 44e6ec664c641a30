"""Learning from preferences without a reward model: DPO, IPO, KTO, SimPO and ORPO.

    L = mean over pairs (KTO: over answers) of the loss in ``preference_losses``

The answers to one prompt are branches of its document (``data.preferences.documents``), so the
prompt is read once for both. The reference's log-probabilities do not change during training: they
are computed once, before it, and stored as a column, so that no second model has to be kept in
memory (``with_reference``).

Logged are the share of pairs whose chosen answer has the higher implicit reward (``accuracy``), the
difference of the rewards (``margin``), both rewards, and the log-probability of both answers. Watch
the last two: the loss may fall while both fall, and what grows likelier instead are answers that
nobody has preferred. For KTO, accuracy and margin are those of single answers against z (``kl``),
and ``good`` is the share of good ones.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glassmind.data.batches.columns import COMPLETION, Column
from glassmind.data.batches.packing import PackedRows
from glassmind.data.preferences.documents import CHOSEN, MISMATCHED, PREFERENCE, REJECTED
from glassmind.model import Transformer
from glassmind.model.eager import uncompiled
from glassmind.train.batch import Batch, to_batch, to_device
from glassmind.train.objectives.objective import Loss, Objective
from glassmind.train.objectives.preference_losses import (
    Answers,
    PreferenceLoss,
    implicit_reward,
    kto_distance,
    kto_terms,
    pair_terms,
)
from glassmind.train.objectives.token_logprobs import token_logprobs

REFERENCE_LOGPROB = Column("reference_logprob", "float32", 0.0)
"""The log-probability of a token of an answer under the reference model."""

ROWS_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class AnswerLayout:
    """The A answers of packed rows, in the order of their tokens.

    ``lengths_A`` are their numbers of tokens, ``roles_A`` what they are, and ``prompts_A`` numbers
    the documents that they belong to.
    """

    lengths_A: NDArray[np.int64]
    roles_A: NDArray[np.int64]
    prompts_A: NDArray[np.int64]

    def of_role(self, role: int) -> NDArray[np.int64]:
        """The numbers of the answers of one role."""
        return np.flatnonzero(self.roles_A == role)

    def pairs(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The numbers of the chosen and of the rejected answer of every document with both."""
        chosen, rejected = self.of_role(CHOSEN), self.of_role(REJECTED)
        both = np.intersect1d(self.prompts_A[chosen], self.prompts_A[rejected])
        return (
            chosen[np.isin(self.prompts_A[chosen], both)],
            rejected[np.isin(self.prompts_A[rejected], both)],
        )


def answer_layout(rows: PackedRows) -> AnswerLayout:
    """Where one answer ends and the next begins, among the tokens of ``COMPLETION``.

    The tokens of an answer are neighbours there, because a document lies in one row.
    """
    at = rows[COMPLETION].nonzero()
    places = np.stack([at[0], rows.documents[at], rows.branches[at]])
    if not places.shape[1]:
        nothing = np.zeros(0, np.int64)
        return AnswerLayout(nothing, nothing, nothing)
    begins = np.ones(places.shape[1], bool)
    begins[1:] = (places[:, 1:] != places[:, :-1]).any(axis=0)
    first = np.flatnonzero(begins)
    other = np.ones(len(first), bool)
    other[1:] = (places[:2, first[1:]] != places[:2, first[:-1]]).any(axis=0)
    return AnswerLayout(
        np.diff(np.append(first, places.shape[1])),
        rows[PREFERENCE][at][first],
        other.cumsum() - 1,
    )


class PreferenceTuning(Objective):
    """The loss above, for answers in ``COMPLETION`` and ``PREFERENCE``, and with
    ``REFERENCE_LOGPROB`` if the loss needs a reference."""

    module: Transformer

    def __init__(self, policy: Transformer, options: PreferenceLoss) -> None:
        self.module = policy
        self.options = options

    def weight(self, batch: Batch) -> float:
        """The number of pairs, or of KTO's answers."""
        layout = answer_layout(batch.rows)
        if self.options.needs_pairs:
            return float(len(layout.pairs()[0]))
        return float(np.count_nonzero(layout.roles_A != MISMATCHED))

    def loss(self, batch: Batch) -> Loss:
        layout = answer_layout(batch.rows)
        answers = self.answers(batch, layout)
        if self.options.needs_pairs:
            return self._paired(answers, layout)
        return self._unpaired(answers, layout)

    def answers(self, batch: Batch, layout: AnswerLayout) -> Answers:
        """The log-probabilities of all answers of the batch."""
        at = batch.indices(batch.rows[COMPLETION])
        lengths = layout.lengths_A.tolist()
        reference_A = None
        if self.options.needs_reference:
            reference_A = _sums(batch[REFERENCE_LOGPROB][at], lengths)
        return Answers(
            _sums(token_logprobs(self.module, batch, at), lengths),
            reference_A,
            to_device(layout.lengths_A, batch.ids.device, torch.float32),
        )

    def _paired(self, answers: Answers, layout: AnswerLayout) -> Loss:
        chosen, rejected = (some_answers(answers, numbers) for numbers in layout.pairs())
        terms_P = pair_terms(chosen, rejected, self.options)
        with torch.no_grad():
            good_P, bad_P = (implicit_reward(a, self.options) for a in (chosen, rejected))
            figures: dict[str, float | Tensor] = {
                "accuracy": (good_P > bad_P).float().mean(),
                "margin": (good_P - bad_P).mean(),
                "implicit_chosen": good_P.mean(),
                "implicit_rejected": bad_P.mean(),
                "logprob_chosen": chosen.logprob_A.detach().mean(),
                "logprob_rejected": rejected.logprob_A.detach().mean(),
            }
        return _mean(terms_P), figures

    def _unpaired(self, answers: Answers, layout: AnswerLayout) -> Loss:
        judged = some_answers(answers, np.flatnonzero(layout.roles_A != MISMATCHED))
        others = layout.of_role(MISMATCHED)
        z = answers.logprob_A.new_zeros(())
        if len(others):
            z = kto_distance(some_answers(answers, others))
        good = layout.roles_A[layout.roles_A != MISMATCHED] == CHOSEN
        good_A = to_device(good, z.device)
        terms_A = kto_terms(judged, good_A, z, self.options)
        with torch.no_grad():
            reward_A = implicit_reward(judged, self.options)
            beyond_A = torch.where(good_A, 1.0, -1.0) * (reward_A - self.options.beta * z)
            figures: dict[str, float | Tensor] = {
                "accuracy": (beyond_A > 0).float().mean(),
                "margin": beyond_A.mean(),
                "kl": z,
                "good": good_A.float().mean(),
            }
            for name, these_A in (("chosen", good_A), ("rejected", ~good_A)):
                n = these_A.sum().clamp(min=1)  # a batch without such answers counts as 0
                figures[f"implicit_{name}"] = (reward_A * these_A).sum() / n
                figures[f"logprob_{name}"] = (judged.logprob_A.detach() * these_A).sum() / n
        return _mean(terms_A), figures


def some_answers(answers: Answers, numbers: NDArray[np.int64]) -> Answers:
    """Some of the answers."""
    at = to_device(numbers, answers.logprob_A.device)
    reference_A = answers.reference_A
    return Answers(
        answers.logprob_A[at],
        None if reference_A is None else reference_A[at],
        answers.tokens_A[at],
    )


def _mean(terms: Tensor) -> Tensor:
    """Their mean; 0 of none, which changes nothing."""
    return terms.sum() / max(1, len(terms))


def _sums(values_N: Tensor, lengths: list[int]) -> Tensor:
    """The sum over each answer's tokens, (A,). Adding part by part, not scattered, has the same
    result every time on a GPU, too."""
    if not lengths:
        return values_N.new_zeros(0)
    return torch.stack([part.sum() for part in values_N.split(lengths)])


@torch.no_grad()
def with_reference(reference: Transformer, rows: PackedRows, device: torch.device) -> PackedRows:
    """The rows with ``REFERENCE_LOGPROB`` filled in by ``reference``, without dropout, in its own
    precision."""
    was_training = reference.training
    reference.eval()
    column = REFERENCE_LOGPROB.filled(rows.ids.shape)
    try:
        with uncompiled():
            for start in range(0, len(rows), ROWS_AT_ONCE):
                part = slice(start, start + ROWS_AT_ONCE)
                batch = to_batch(rows.take(part), device)
                at = batch.rows[COMPLETION].nonzero()
                found_N = token_logprobs(reference, batch, batch.indices(batch.rows[COMPLETION]))
                column[part][at] = found_N.cpu().numpy()
    finally:
        reference.train(was_training)
    return replace(rows, columns={**rows.columns, REFERENCE_LOGPROB: column})


@torch.no_grad()
def paired_answers(
    objective: PreferenceTuning, rows: PackedRows, device: torch.device
) -> tuple[Answers, Answers] | None:
    """The chosen and the rejected answers of all pairs in ``rows``, on the CPU; ``None`` if there
    is no pair."""
    module = objective.module
    training = [inner for inner in module.modules() if inner.training]
    module.eval()
    found: list[tuple[Answers, Answers]] = []
    try:
        with uncompiled():
            for start in range(0, len(rows), ROWS_AT_ONCE):
                batch = to_batch(rows.take(slice(start, start + ROWS_AT_ONCE)), device)
                layout = answer_layout(batch.rows)
                answers = objective.answers(batch, layout)
                chosen, rejected = (some_answers(answers, numbers) for numbers in layout.pairs())
                if len(chosen.tokens_A):
                    found.append((chosen, rejected))
    finally:
        for inner in training:
            inner.training = True
    if not found:
        return None
    return _joined([pair[0] for pair in found]), _joined([pair[1] for pair in found])


def _joined(parts: list[Answers]) -> Answers:
    references = [part.reference_A for part in parts if part.reference_A is not None]
    return Answers(
        torch.cat([part.logprob_A for part in parts]).cpu(),
        torch.cat(references).cpu() if references else None,
        torch.cat([part.tokens_A for part in parts]).cpu(),
    )
