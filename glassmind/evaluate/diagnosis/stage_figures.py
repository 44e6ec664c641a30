"""The figures of one stage, prepared for the judgements.

Losses are smoothed before they are compared. ``noise``, estimated from the differences between
neighbouring rows, says by how much they vary by chance, so that a judgement can ask for more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import fmean, median

from glassmind.evaluate.run_files import Inspection, Metric

SMOOTH = 5
"""Losses are averaged over this many rows, or over a tenth of the run if that is more, before they
are compared: one lucky batch is not a trend."""

FEWEST_ROWS = 10
"""With fewer rows of losses, a run is too short for its curve to be judged."""

RISE, CERTAIN = 0.05, 4
"""A loss has risen, not just varied, if its mean is above its lowest (or first) value by this share
and by this many standard errors. Four, because the lowest is the best of many."""


@dataclass(frozen=True, slots=True)
class StageFigures:
    """What a stage recorded, each as (step, value); ``smooth`` goes with ``losses``."""

    losses: list[tuple[int, float]]
    smooth: list[float]
    noise: float  # standard error of the difference of two smoothed losses
    checks: list[tuple[int, float]]
    looks: list[tuple[int, Inspection]]
    troubles: list[tuple[int, str]]  # what the trainer's guard noted
    lost: int | None  # the step at which the loss was not a number
    chosen: list[tuple[int, float]] = field(default_factory=list)  # log-probability of answers


def stage_figures(metrics: Sequence[Metric], stage: str) -> StageFigures:
    """The figures of ``stage`` among all that a run recorded."""
    rows = [m for m in metrics if m.stage == stage]
    losses = [(m.step, m.loss) for m in rows if m.loss is not None]
    # A row of a step, with its learning rate, but without a loss: the loss was not a number.
    lost = next((m.step for m in rows if m.loss is None and m.lr is not None), None)
    values = [value for _, value in losses]
    window = max(SMOOTH, len(values) // 10)
    return StageFigures(
        losses,
        smoothed(values, window),
        noise_of(values) * math.sqrt(2 / window),
        [(m.step, m.validation_loss) for m in rows if m.validation_loss is not None],
        [(m.step, m.inspection) for m in rows if m.inspection is not None],
        [(m.step, m.trouble) for m in rows if m.trouble is not None],
        lost,
        [(m.step, m.logprob_chosen) for m in rows if m.logprob_chosen is not None],
    )


def smoothed(values: Sequence[float], window: int = SMOOTH) -> list[float]:
    """The mean of each value and up to ``window`` - 1 before it."""
    return [fmean(values[max(0, i + 1 - window) : i + 1]) for i in range(len(values))]


def block_gradients(look: Inspection) -> list[float | None]:
    """The gradient norm of each block, over all its matrices; ``None`` if it has none."""
    norms: list[float | None] = []
    for block in look.blocks:
        mine = [g for name, g in look.gradients.items() if name.startswith(f"{block}.")]
        known = [g for g in mine if g is not None]
        norms.append(math.hypot(*known) if known else None)
    return norms


def typical_update(look: Inspection) -> float | None:
    """The median update-to-weight ratio of all matrices that were not zero before the step."""
    known = [ratio for ratio in look.updates.values() if ratio is not None]
    return median(known) if known else None


def later_half(looks: list[tuple[int, Inspection]]) -> list[tuple[int, Inspection]]:
    """The second half of the inspections, after the start of the run."""
    return looks[len(looks) // 2 :]


def fell_less(run: StageFigures, share: float) -> bool:
    """Whether the loss fell by less than ``share`` of what it began with."""
    if len(run.losses) < FEWEST_ROWS:
        return False
    first = fmean(value for _, value in run.losses[:SMOOTH])
    return run.smooth[-1] > first - share * abs(first)


def fall(run: StageFigures) -> str:
    """From where to where the loss went, as the beginning of a sentence.

    It begins where the curve does: a mean over the first rows, in which it falls most, would be a
    number that stands nowhere in the picture.
    """
    (step, first), last = run.losses[0], run.smooth[-1]
    return (
        f"The loss went from {first:.3g} at step {step:,} to {last:.3g}, the mean of the last rows"
    )


def above(loss: float, run: StageFigures) -> float:
    """A smoothed loss beyond this has risen above ``loss``, not just varied."""
    return loss + max(RISE * abs(loss), CERTAIN * run.noise)


def noise_of(values: Sequence[float]) -> float:
    """Standard deviation of one row around the curve, from the differences between neighbours.

    It uses their median, so that neither the fall of the curve nor a spike counts as noise.
    """
    steps = [abs(b - a) for a, b in pairwise(values)]
    return 1.4826 * median(steps) / math.sqrt(2) if steps else 0.0


def span(looks: list[tuple[int, Inspection]]) -> tuple[int, int] | None:
    """The first and the last inspected step."""
    return (looks[0][0], looks[-1][0]) if looks else None
