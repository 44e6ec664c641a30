"""Finding the first wrong step: the score of ProcessBench (Zheng et al. 2024, arXiv 2412.06559).

Accuracy is measured twice: on the solutions that have an error, where the number of the first wrong
step must be named exactly, and on those that have none, where that must be said. The score is their
harmonic mean, F1, so that always finding an error, or never, is worth nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from glassmind.statistics import wilson_interval


@dataclass(frozen=True, slots=True)
class FirstErrorScore:
    """``found`` of ``erroneous`` solutions with an error, ``cleared`` of ``correct`` ones."""

    erroneous: int
    found: int
    correct: int
    cleared: int

    @property
    def on_erroneous(self) -> float:
        """The share of erroneous solutions whose first wrong step was named."""
        return self.found / self.erroneous if self.erroneous else 0.0

    @property
    def on_correct(self) -> float:
        """The share of correct solutions in which no error was seen."""
        return self.cleared / self.correct if self.correct else 0.0

    @property
    def f1(self) -> float:
        """The harmonic mean of both; 0 if either is."""
        total = self.on_erroneous + self.on_correct
        return 2 * self.on_erroneous * self.on_correct / total if total else 0.0

    @property
    def intervals(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """The 95 % intervals of both accuracies."""
        return (
            wilson_interval(self.found, self.erroneous),
            wilson_interval(self.cleared, self.correct),
        )


def first_error_score(truth: Sequence[int], found: Sequence[int | None]) -> FirstErrorScore:
    """Score the numbers of first wrong steps; -1 in ``truth``, ``None`` in ``found``, mean none."""
    pairs = list(zip(truth, found, strict=True))
    return FirstErrorScore(
        erroneous=sum(true >= 0 for true, _ in pairs),
        found=sum(true >= 0 and said == true for true, said in pairs),
        correct=sum(true < 0 for true, _ in pairs),
        cleared=sum(true < 0 and said is None for true, said in pairs),
    )
