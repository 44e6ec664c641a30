"""What held-out pairs tell about a model before and after it learned from preferences.

``preferences.json`` and the summary have, with 95 % intervals, the share of pairs whose chosen
answer has the higher implicit reward, and the share whose chosen answer the model finds likelier.
The log-probabilities themselves are there too: a preference loss looks only at their difference,
and often both fall.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from glassmind.data.batches.packing import PackedRows
from glassmind.evaluate.wording import p_phrase, percent
from glassmind.statistics import mcnemar_exact, wilson_interval
from glassmind.train.objectives.preference import PreferenceTuning, paired_answers
from glassmind.train.objectives.preference_losses import Answers, implicit_reward

FELL = 0.1
"""A mean log-probability that fell by this share of its start is worth a sentence."""


@dataclass(frozen=True, slots=True)
class PairShare:
    """``right`` of ``n`` pairs; ``low`` and ``high`` are the 95 % Wilson interval."""

    right: int
    n: int
    share: float
    low: float
    high: float

    @classmethod
    def of(cls, right: int, n: int) -> PairShare:
        return cls(right, n, right / n, *wilson_interval(right, n))

    def __str__(self) -> str:
        return (
            f"{percent(self.share)} of {self.n:,} (95 % interval {percent(self.low)} to "
            f"{percent(self.high)})"
        )


@dataclass(frozen=True, slots=True)
class PairFigures:
    """A model on held-out pairs.

    ``higher`` counts those whose chosen answer has the higher implicit reward, ``likelier`` those
    whose chosen answer has the higher log-probability. ``margin`` is the mean difference of the
    rewards; ``logprob_chosen`` and ``logprob_rejected`` are mean log-probabilities of answers, in
    nats.
    """

    higher: PairShare
    likelier: PairShare
    margin: float
    logprob_chosen: float
    logprob_rejected: float


@dataclass(frozen=True, slots=True)
class PreferenceResult:
    """``preferences.json``. ``gained`` and ``lost`` count the pairs whose chosen answer became the
    likelier one, or no longer is it; ``p_value`` is that of McNemar's exact test."""

    schema: int
    loss: str
    n: int
    before: PairFigures
    after: PairFigures
    gained: int
    lost: int
    p_value: float


@dataclass(frozen=True)
class MeasuredPairs:
    """The figures, and for each pair whether its chosen answer is the likelier one."""

    figures: PairFigures
    likelier: tuple[bool, ...]


def measured_pairs(
    objective: PreferenceTuning, rows: PackedRows | None, device: torch.device
) -> MeasuredPairs | None:
    """The model on the pairs of ``rows``; ``None`` if there is no pair."""
    found = None if rows is None else paired_answers(objective, rows, device)
    if found is None:
        return None
    chosen, rejected = found
    margin_P = implicit_reward(chosen, objective.options) - implicit_reward(
        rejected, objective.options
    )
    likelier_P = chosen.logprob_A > rejected.logprob_A
    n = len(margin_P)
    figures = PairFigures(
        PairShare.of(int((margin_P > 0).sum()), n),
        PairShare.of(int(likelier_P.sum()), n),
        float(margin_P.mean()),
        _mean(chosen),
        _mean(rejected),
    )
    return MeasuredPairs(figures, tuple(likelier_P.tolist()))


def _mean(answers: Answers) -> float:
    return float(np.mean(answers.logprob_A.tolist()))


def preference_result(loss: str, before: MeasuredPairs, after: MeasuredPairs) -> PreferenceResult:
    """The comparison of both measurements, of the same pairs."""
    pairs = list(zip(before.likelier, after.likelier, strict=True))
    gained = sum(now and not then for then, now in pairs)
    lost = sum(then and not now for then, now in pairs)
    return PreferenceResult(
        schema=1,
        loss=loss,
        n=len(pairs),
        before=before.figures,
        after=after.figures,
        gained=gained,
        lost=lost,
        p_value=mcnemar_exact(gained, lost),
    )


def summary(result: PreferenceResult) -> str:
    """The result in sentences."""
    before, after = result.before, result.after
    lines = [
        f"held-out pairs whose chosen answer has the higher implicit reward: {after.higher}",
        f"held-out pairs whose chosen answer is the likelier one: {after.likelier}; before, "
        f"{percent(before.likelier.share)} ({p_phrase(result.p_value)})",
        f"log-probability of chosen answers {after.logprob_chosen:.2f} "
        f"({before.logprob_chosen:.2f} before), of rejected ones {after.logprob_rejected:.2f} "
        f"({before.logprob_rejected:.2f})",
    ]
    if after.logprob_chosen < (1 + FELL) * before.logprob_chosen:
        lines.append(FALLEN)
    return "\n".join(lines)


FALLEN = (
    "Chosen answers have become less likely, too: the loss looks only at the difference. What the "
    "model prefers to both is in no pair, so look at what it writes now. options.sft above 0 holds "
    "chosen answers up; a larger options.beta or fewer steps keep the model nearer to its start."
)
