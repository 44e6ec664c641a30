"""Does a verifier rank right above wrong, and does it mean what it says?

*Within a problem*: the area under the ROC curve between the right and the wrong chains of the same
problem, averaged over problems that have both. It is what choosing needs; the area over all chains
together also rewards knowing which problems are hard. *Brier* is the mean squared error of the
scores as probabilities (Brier 1950), *ECE* the expected calibration error in ten bins (Naeini et
al. 2015). *First error*: the first step with a score below a half against the first step that is
wrong (``first_error``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from glassmind.evaluate.verifier.chains import ChainTable, Floats
from glassmind.evaluate.verifier.first_error import FirstErrorScore, first_error_score
from glassmind.statistics import (
    ReliabilityBin,
    auroc,
    expected_calibration_error,
    mean_and_interval,
    reliability,
)

EDGES = tuple(edge / 10 for edge in range(11))
DOUBT = 0.5


@dataclass(frozen=True, slots=True)
class Calibrated:
    """How well ``n`` probabilities fit what came true."""

    n: int
    share: float
    brier: float
    ece: float
    bins: tuple[ReliabilityBin, ...]


@dataclass(frozen=True, slots=True)
class VerifierQuality:
    """The figures of the module's docstring. ``within`` has its 95 % interval over problems;
    ``mixed`` is the number of problems that have right and wrong chains. ``steps`` and
    ``first_error`` are ``None`` if no chain has steps that can be checked."""

    within: tuple[float, float, float] | None
    mixed: int
    over_all: float | None
    outcome: Calibrated
    steps: Calibrated | None
    first_error: FirstErrorScore | None


def within_problem_auc(
    tables: Sequence[ChainTable], scores: Sequence[Floats]
) -> tuple[tuple[float, float, float] | None, int]:
    """The mean over problems with its 95 % interval, and the number of problems; ``None`` for
    fewer than two."""
    areas = [
        auroc(score.tolist(), table.right.tolist())
        for table, score in zip(tables, scores, strict=True)
        if 0 < table.right.sum() < len(table)
    ]
    return (mean_and_interval(areas) if len(areas) > 1 else None), len(areas)


def verifier_quality(tables: Sequence[ChainTable]) -> VerifierQuality:
    """The quality of the scores in ``tables``."""
    within, mixed = within_problem_auc(tables, [table.outcome for table in tables])
    scores = [float(x) for table in tables for x in table.outcome]
    right = [bool(x) for table in tables for x in table.right]
    step_scores: list[float] = []
    step_truth: list[bool] = []
    truth: list[int] = []
    found: list[int | None] = []
    for table in tables:
        for given, valid in zip(table.steps, table.valid, strict=True):
            if valid and len(given) == len(valid):
                step_scores += given
                step_truth += valid
                truth.append(next((n for n, ok in enumerate(valid) if not ok), -1))
                found.append(next((n for n, p in enumerate(given) if p < DOUBT), None))
    return VerifierQuality(
        within=within,
        mixed=mixed,
        over_all=auroc(scores, right) if 0 < sum(right) < len(right) else None,
        outcome=_calibrated(scores, right),
        steps=_calibrated(step_scores, step_truth) if step_scores else None,
        first_error=first_error_score(truth, found) if truth else None,
    )


def _calibrated(scores: Sequence[float], right: Sequence[bool]) -> Calibrated:
    bins = reliability(scores, right, EDGES)
    errors = np.array(scores) - np.array(right, float)
    return Calibrated(
        n=len(scores),
        share=sum(right) / len(right),
        brier=float((errors**2).mean()),
        ece=expected_calibration_error(bins),
        bins=tuple(bins),
    )
