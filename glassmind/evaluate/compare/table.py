"""A comparison as tables for the terminal and the page, and as JSON."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from glassmind.evaluate.columns import Column, table_lines
from glassmind.evaluate.compare.runs import (
    Comparison,
    Reached,
    RunCurves,
    Spent,
    StageComparison,
)
from glassmind.evaluate.wording import count, duration

Row = tuple[str, ...]

ABSENT = "–"
LONGEST = 60
"""Longer values of a recipe are cut, so that lines stay readable."""


def difference_rows(comparison: Comparison) -> list[Row]:
    """The headings and a row for every value that is not the same in all runs."""
    rows: list[Row] = [("setting", *comparison.labels)]
    rows += [
        (d.key, *(ABSENT if value is None else _cut(value) for value in d.values))
        for d in comparison.differences
    ]
    return rows


def result_rows(stage: StageComparison) -> list[Row]:
    """The headings and a row for each run: losses, what was spent, how fast."""
    validated = any(run.validation for run in stage.runs)
    headings: Row = ("run", "last loss", "best loss")
    headings += ("last validation", "best validation") if validated else ()
    rows = [(*headings, "steps", "tokens", "time", "tokens/s")]
    for run in stage.runs:
        cells: Row = (run.label, f"{run.smooth[-1]:.4f}", f"{min(run.smooth):.4f}")
        if validated:
            checks = [value for _, value in run.validation]
            cells += (f"{checks[-1]:.4f}", f"{min(checks):.4f}") if checks else (ABSENT, ABSENT)
        rows.append((*cells, *_spent_cells(run.spent.step, run.spent.tokens, run.spent.seconds),
                     _or_absent(run.typical_speed)))  # fmt: skip
    return rows


def race_rows(runs: Sequence[RunCurves], reached: Sequence[Reached]) -> list[Row]:
    """The headings and a row for each run: what it spent to reach the worst run's best loss."""
    rows: list[Row] = [("run", "steps", "tokens", "time")]
    for run, at in zip(runs, reached, strict=True):
        rows.append((run.label, *_spent_cells(at.spent.step, at.spent.tokens, at.spent.seconds)))
    return rows


def comparison_text(comparison: Comparison, width: int | None = None) -> str:
    """Everything as plain aligned lines, of at most ``width`` characters."""
    parts = []
    if comparison.differences:
        parts.append("What differs\n" + _aligned(difference_rows(comparison), width, ()))
    else:
        parts.append("The runs have the same recipe.")
    if comparison.caution:
        caution = comparison.caution
        parts.append(caution if width is None else textwrap.fill(caution, width))
    for stage in comparison.stages:
        parts.append(f"{stage.name}\n" + _aligned(result_rows(stage), width, _RESULT_RANKS))
        for what, reached in races(stage):
            parts.append(
                f"{race_title(what, reached)}\n"
                + _aligned(race_rows(stage.runs, reached), width, _RESULT_RANKS)
            )
    return "\n\n".join(parts)


@dataclass(frozen=True, slots=True)
class Losses:
    """The last value of a curve and its lowest."""

    last: float
    best: float


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run in one stage. ``loss`` is the smoothed training loss."""

    run: str
    stage: str
    loss: Losses
    validation_loss: Losses | None
    spent: Spent
    tokens_per_second: float | None


@dataclass(frozen=True, slots=True)
class RaceRecord:
    """What each run, by its label, had spent when it reached ``loss``."""

    loss: float
    spent: dict[str, Spent]


@dataclass(frozen=True, slots=True)
class StageRecord:
    """The runs of one stage, and their races by what was measured."""

    runs: tuple[RunRecord, ...]
    reached: dict[str, RaceRecord]


@dataclass(frozen=True, slots=True)
class ComparisonRecord:
    """A comparison as JSON: everything but the curves. ``page`` is where those are drawn.

    ``differences`` are the values by key and by the run's label.
    """

    runs: tuple[str, ...]
    differences: dict[str, dict[str, str | None]]
    caution: str
    stages: dict[str, StageRecord]
    page: Path | None = None


def comparison_record(comparison: Comparison, page: Path | None = None) -> ComparisonRecord:
    """What ``glassmind compare --json`` prints."""
    return ComparisonRecord(
        runs=comparison.labels,
        differences={
            d.key: dict(zip(comparison.labels, d.values, strict=True))
            for d in comparison.differences
        },
        caution=comparison.caution,
        stages={stage.name: _stage_record(stage) for stage in comparison.stages},
        page=page,
    )


def _stage_record(stage: StageComparison) -> StageRecord:
    runs = tuple(
        RunRecord(
            run=run.label,
            stage=run.stage,
            loss=Losses(run.smooth[-1], min(run.smooth)),
            validation_loss=_losses([value for _, value in run.validation]),
            spent=run.spent,
            tokens_per_second=run.typical_speed,
        )
        for run in stage.runs
    )
    labels = [run.label for run in stage.runs]
    reached = {
        what: RaceRecord(
            reached[0].mark,
            {label: at.spent for label, at in zip(labels, reached, strict=True)},
        )
        for what, reached in races(stage)
    }
    return StageRecord(runs, reached)


def races(stage: StageComparison) -> list[tuple[str, Sequence[Reached]]]:
    """The race by validation loss, if all runs have one, then the race by training loss."""
    found: list[tuple[str, Sequence[Reached]]] = []
    if stage.validation is not None:
        found.append(("validation", stage.validation))
    return [*found, ("training", stage.training)]


def race_title(what: str, reached: Sequence[Reached]) -> str:
    return f"Until a {what} loss of {reached[0].mark:.4f}, the best of the worst run"


def _losses(values: Sequence[float]) -> Losses | None:
    return Losses(values[-1], min(values)) if values else None


_RESULT_RANKS = ("best validation", "best loss", "last validation", "time", "steps", "tokens",
                 "last loss", "tokens/s")  # fmt: skip
"""Columns about runs, those that are shown longest first."""


def _aligned(rows: Sequence[Row], width: int | None, ranks: Sequence[str]) -> str:
    """Lines below each other, within ``width``. With ``ranks`` the columns are numbers, and go from
    the last rank on where there is no room; without, all of them are text."""
    columns = [
        Column(heading, left=place == 0, rank=ranks.index(heading) if place else 0)
        if ranks
        else Column(heading, left=True)
        for place, heading in enumerate(rows[0])
    ]
    lines = table_lines(columns, rows[1:], None if width is None else width - 2)
    return "\n".join(f"  {line}" for line in lines)


def _spent_cells(step: int, tokens: float | None, seconds: float | None) -> Row:
    return (
        f"{step:,}",
        _or_absent(tokens),
        ABSENT if seconds is None else duration(seconds),
    )


def _or_absent(number: float | None) -> str:
    return ABSENT if number is None else count(number)


def _cut(value: str) -> str:
    value = " ".join(value.split()) or '""'
    return value if len(value) <= LONGEST else value[: LONGEST - 1] + "…"
