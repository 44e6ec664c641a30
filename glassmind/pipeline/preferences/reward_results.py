"""How good a reward model is on held-out pairs: accuracy, calibration, and a bias towards length.

The model says P(w beats l) = σ(r(w) - r(l)). Of the pairs of which it is 80 % sure, 80 % should be
right; Brier's score is the mean squared error of that probability (0.25 for a coin). Longer answers
are often preferred, and a model that has only learned to count tokens is then right surprisingly
often (Singhal et al. 2023, arXiv 2310.03716). So the accuracy is given for pairs with a longer and
with a shorter chosen answer as well.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from glassmind.data.batches.packing import PackedRows
from glassmind.evaluate.wording import percent
from glassmind.model import TokenScorer
from glassmind.pipeline.preferences.results import PairShare
from glassmind.statistics import ReliabilityBin, expected_calibration_error, reliability
from glassmind.train.objectives.reward_model import paired_scores

EDGES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Of the bins of the reliability table; the model is at least 50 % sure of what it prefers."""

APART = 0.2
"""Accuracies on longer and on shorter chosen answers that differ by more are worth a sentence, if
their intervals do not overlap."""


@dataclass(frozen=True, slots=True)
class RewardModelResult:
    """``reward-model-results.json``: a reward model on ``n`` held-out pairs.

    ``accuracy`` counts those whose chosen answer has the higher score, and ``longer``, ``shorter``
    and ``equal`` the same among pairs whose chosen answer has more, fewer, or as many tokens.
    ``length_correlation`` is Pearson's between score and number of tokens, of the differences
    within pairs; ``None`` if one of both does not vary. ``bins`` compare how sure the model is of
    the answer that it prefers with how often it is right.
    """

    schema: int
    n: int
    accuracy: PairShare
    brier: float
    calibration_error: float
    bins: tuple[ReliabilityBin, ...]
    longer: PairShare | None
    shorter: PairShare | None
    equal: PairShare | None
    length_correlation: float | None
    mean: float
    deviation: float


def reward_model_result(
    scorer: TokenScorer, rows: PackedRows, device: torch.device
) -> RewardModelResult:
    """Measure ``scorer`` on the pairs of ``rows``."""
    return result_of_scores(*paired_scores(scorer, rows, device))


def result_of_scores(
    chosen: np.ndarray, rejected: np.ndarray, chosen_tokens: np.ndarray, rejected_tokens: np.ndarray
) -> RewardModelResult:
    """The result from scores and lengths of the answers, four arrays (P,)."""
    margin = chosen - rejected
    right = margin > 0
    sure = 1 / (1 + np.exp(-np.abs(margin)))
    # Equal scores prefer neither, so they are half right and half wrong: counted as wrong.
    bins = tuple(reliability(sure.tolist(), right.tolist(), EDGES))
    longer = chosen_tokens - rejected_tokens
    scores = np.concatenate([chosen, rejected])
    return RewardModelResult(
        schema=1,
        n=len(margin),
        accuracy=PairShare.of(int(right.sum()), len(right)),
        brier=float(np.mean((1 - 1 / (1 + np.exp(-margin))) ** 2)),
        calibration_error=expected_calibration_error(bins),
        bins=bins,
        longer=_share(right[longer > 0]),
        shorter=_share(right[longer < 0]),
        equal=_share(right[longer == 0]),
        length_correlation=_correlation(margin, longer),
        mean=float(scores.mean()),
        deviation=float(scores.std()),
    )


def _share(right: np.ndarray) -> PairShare | None:
    return PairShare.of(int(right.sum()), len(right)) if len(right) else None


def _correlation(margin: np.ndarray, longer: np.ndarray) -> float | None:
    """Pearson's correlation of the differences of score and of length.

    Which answer of a pair comes first would change a correlation around the means, so each pair is
    counted in both orders: the means are then 0.
    """
    spread = float(np.sqrt((margin**2).sum() * (longer**2).sum()))
    return float((margin * longer).sum()) / spread if spread else None


def summary(result: RewardModelResult) -> str:
    """The result in sentences, and the reliability table."""
    lines = [
        f"held-out pairs whose chosen answer has the higher score: {result.accuracy}",
        *(
            f"  where the chosen answer is {name}: {share}"
            for name, share in (
                ("longer", result.longer),
                ("shorter", result.shorter),
                ("as long", result.equal),
            )
            if share is not None
        ),
    ]
    if result.length_correlation is not None:
        lines.append(f"correlation of score and length: {result.length_correlation:+.2f}")
    lines.append(
        f"Brier's score {result.brier:.3f} (a coin: 0.250), calibration error "
        f"{percent(result.calibration_error)}"
    )
    lines.append("     sure      pairs    right")
    for found in result.bins:
        right = found.correct / found.n
        lines.append(f"{found.low:>4.0%} to {found.high:>4.0%}  {found.n:>5}  {right:>7.0%}")
    if (told := length_bias(result)) is not None:
        lines.append(told)
    return "\n".join(lines)


def length_bias(result: RewardModelResult) -> str | None:
    """A sentence if the model is much better at pairs with answers of one kind of length."""
    longer, shorter = result.longer, result.shorter
    if longer is None or shorter is None or abs(longer.share - shorter.share) < APART:
        return None
    overlap = longer.low <= shorter.high and shorter.low <= longer.high
    if overlap:
        return None
    kind = "longer" if longer.share > shorter.share else "shorter"
    return (
        f"It prefers {kind} answers, also where they are not the better ones: a policy that learns "
        f"from it will write {kind} ones. Pairs of equal length, or as many with a longer as with "
        "a shorter chosen answer, remove that."
    )
