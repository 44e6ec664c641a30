"""The table of ``engine_speed.py``: our figures next to those of the peers and the targets."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from engine_speed_job import Made
from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Figure:
    """One side's measurements of one thing."""

    name: str
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def __str__(self) -> str:
        spread = f" ({min(self.values):.3g} to {max(self.values):.3g})"
        return f"{self.name}: {self.median:.4g}" + (spread if len(self.values) > 1 else "")


@dataclass(frozen=True)
class Row:
    """A line of the table: our figure and the peer's. If there is a ``target``, the ratio must
    reach it, or, with ``at_most``, not exceed it."""

    job: str
    unit: str
    ours: Figure
    peer: Figure
    ratio: float
    target: float | None = None
    at_most: bool = False

    @property
    def met(self) -> bool | None:
        if self.target is None:
            return None
        return self.ratio <= self.target if self.at_most else self.ratio >= self.target


def against(job: str, ours: Figure, peer: Figure, target: float | None = None) -> Row:
    """A row of two speeds."""
    return Row(job, "tok/s", ours, peer, ours.median / peer.median, target)


def speeds(name: str, runs: Sequence[Made]) -> Figure:
    return Figure(name, tuple(made.per_second for made in runs))


def fastest(figures: Sequence[Figure]) -> Figure:
    return max(figures, key=lambda figure: figure.median)


def show(rows: Sequence[Row], threads: int) -> None:
    table = Table(title=f"The engine, {threads} threads: median (lowest to highest)")
    for column in ("job", "ours", "peer", "unit"):
        table.add_column(column)
    for column in ("ratio", "target", ""):
        table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        sign = "≤" if row.at_most else "≥"
        target = "" if row.target is None else f"{sign} {row.target:g}"
        verdict = "" if row.met is None else "met" if row.met else "MISSED"
        table.add_row(
            row.job, str(row.ours), str(row.peer), row.unit, f"{row.ratio:.3f}", target, verdict
        )
    Console(width=150).print(table)
