"""A comparison as a self-contained HTML page, with the curves of all runs in common charts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from glassmind.errors import UserError
from glassmind.evaluate.charts.line_chart import Line, keys, line_chart
from glassmind.evaluate.compare.runs import (
    AXES,
    Comparison,
    RunCurves,
    Spent,
    StageComparison,
    points,
)
from glassmind.evaluate.compare.table import (
    difference_rows,
    race_rows,
    race_title,
    races,
    result_rows,
)
from glassmind.evaluate.page_template import render_page
from glassmind.evaluate.wording import count
from glassmind.files import write_text


@dataclass(frozen=True, slots=True)
class _Panel:
    title: str
    axis: str
    svg: str


def write_comparison(comparison: Comparison, path: Path) -> None:
    """Write the page to ``path``. Raises ``UserError`` where it cannot be written."""
    if path.is_dir():
        raise UserError(f"{path} is a folder: --out takes the name of a page, such as compare.html")
    write_text(path, render_comparison(comparison))


def render_comparison(comparison: Comparison) -> str:
    """The whole page as HTML text."""
    return render_page(
        "compare/comparison.html.jinja",
        comparison=comparison,
        differences=difference_rows(comparison),
        legend=keys([Line(label, (), tone) for tone, label in enumerate(comparison.labels)]),
        stages=[
            {
                "name": stage.name,
                "panels": comparison_panels(stage),
                "results": result_rows(stage),
                "races": [
                    (race_title(what, reached), race_rows(stage.runs, reached))
                    for what, reached in races(stage)
                ],
            }
            for stage in comparison.stages
        ],
    )


def comparison_panels(stage: StageComparison) -> list[_Panel]:
    """Loss, validation loss, learning rate and speed, each against steps, tokens and seconds."""
    panels = []
    for title, lines_of in _FIGURES.items():
        for axis, unit in AXES.items():
            lines = [
                Line(run.label, line, tone)
                for tone, run in enumerate(stage.runs)
                if (line := points(lines_of(run), axis))
            ]
            ends = "; ".join(f"{line.name} ends at {line.points[-1][1]:.4g}" for line in lines)
            svg = line_chart(
                lines, unit, f"{title} against {unit}: {ends}.", x_format=_short, y_format=_short
            )
            if svg is not None:
                panels.append(_Panel(title, unit, svg))
    return panels


def _losses(run: RunCurves) -> list[tuple[Spent, float]]:
    return [(spent, value) for (spent, _), value in zip(run.loss, run.smooth, strict=True)]


_FIGURES: dict[str, Callable[[RunCurves], list[tuple[Spent, float]]]] = {
    "training loss": _losses,
    "validation loss": lambda run: run.validation,
    "learning rate, share of its peak": lambda run: run.lr,
    "tokens a second": lambda run: run.speed,
}


def _short(number: float) -> str:
    """A number on an axis: ``2M``, ``40k``, ``300``, ``0.25``."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(number) >= size:
            return f"{number / (1e3 if unit == 'k' else size):.4g}{unit}"
    return count(number) if abs(number) >= 10 else f"{number:.4g}"
