"""The figures of learning from reward, prepared for the judgements.

Several passes over one set of samples log the same rewards again, so a set counts once. Its
beginning and its end are compared: the first and the last third of the sets, with the standard
error of the difference, so that the luck of a few questions is not taken for a trend.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

from glassmind.evaluate.policy_figures import PolicyFigures, PolicySettings
from glassmind.evaluate.run_files import Metric

FEWEST_SETS = 4
"""With fewer sets of samples, beginning and end cannot be compared."""

CERTAIN = 2.0
"""A change counts if it is this many standard errors."""


@dataclass(frozen=True, slots=True)
class Change:
    """A figure's mean over the first and the last third, and the standard error of the change."""

    first: float
    last: float
    error: float

    @property
    def by(self) -> float:
        """How much it has grown."""
        return self.last - self.first

    @property
    def rose(self) -> bool:
        """Whether it has grown by more than chance explains."""
        return self.by > CERTAIN * self.error

    @property
    def fell(self) -> bool:
        """Whether it has shrunk by more than chance explains."""
        return -self.by > CERTAIN * self.error


@dataclass(frozen=True, slots=True)
class PolicyRun:
    """A stage that learned from reward: its ``rows`` as (step, figures), those of each set of
    samples only once (``sets``), the settings of its recipe, how many completions of each logged
    group were learned from (``group_sizes``), and the step at which the loss was no number."""

    rows: list[tuple[int, PolicyFigures]]
    sets: list[tuple[int, PolicyFigures]]
    settings: PolicySettings
    group_sizes: tuple[int, ...] = ()
    lost: int | None = None

    def change(self, figure: Callable[[PolicyFigures], float | None]) -> Change | None:
        """How a figure of the sets changed; ``None`` where there are too few of them."""
        values = [value for _, row in self.sets if (value := figure(row)) is not None]
        if len(values) < FEWEST_SETS:
            return None
        size = max(2, len(values) // 3)
        # From the differences between neighbours, so that the trend itself does not count as noise.
        noise = fmean((after - before) ** 2 for before, after in pairwise(values)) / 2
        return Change(fmean(values[:size]), fmean(values[-size:]), math.sqrt(2 * noise / size))

    def values(self, figure: Callable[[PolicyFigures], float | None]) -> list[tuple[int, float]]:
        """A figure of every row, as (step, value)."""
        return [(step, value) for step, row in self.rows if (value := figure(row)) is not None]


def policy_run(
    metrics: Sequence[Metric],
    stage: str,
    settings: PolicySettings,
    group_sizes: Sequence[int] = (),
) -> PolicyRun | None:
    """The figures of ``stage``; ``None`` if it did not learn from reward."""
    mine = [metric for metric in metrics if metric.stage == stage]
    rows = [(metric.step, metric.policy) for metric in mine if metric.policy is not None]
    if not rows:
        return None
    sets: list[tuple[int, PolicyFigures]] = []
    for step, row in rows:
        if not sets or _of_set(row) != _of_set(sets[-1][1]):
            sets.append((step, row))
    lost = next((m.step for m in mine if m.loss is None and m.lr is not None), None)
    return PolicyRun(rows, sets, settings, tuple(group_sizes), lost)


def _of_set(row: PolicyFigures) -> tuple[object, ...]:
    return row.reward, row.solve_rate, row.length, row.informative, tuple(row.rewards.items())
