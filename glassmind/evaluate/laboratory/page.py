"""The laboratory's page: a row with an arrow for each estimator.

The grey bar is the true gradient, of length 1. The arrow over it is the estimator's expected
gradient: its length and its angle to the true one are drawn as they are. The dot at the right says
how many completions must be sampled until the noise is no larger than the signal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from glassmind.evaluate.charts.svg import Scale, curve, dot, element, label, log_ticks, picture
from glassmind.evaluate.laboratory.estimators import SECTIONS
from glassmind.evaluate.laboratory.measure import Measured
from glassmind.evaluate.laboratory.results import (
    COLUMNS,
    Laboratory,
    angle,
    degrees,
    finding,
    needed,
    setting,
    table_rows,
)
from glassmind.evaluate.page_template import render_page
from glassmind.files import write_text

_WIDTH, _ROW, _TOP, _BOTTOM = 760, 40, 26, 30
_NAMES, _ORIGIN, _UNIT = 262, 330, 52  # where names end, where arrows start, a length of 1
_DOTS, _RIGHT = 500, 740  # the axis of completions


def write_laboratory_page(laboratory: Laboratory, path: Path) -> None:
    """Write the page to ``path``. Raises ``UserError`` where it cannot be written."""
    write_text(path, render_laboratory(laboratory))


def render_laboratory(laboratory: Laboratory) -> str:
    """The whole page as HTML text."""
    counts = [row.completions for row in laboratory.rows if row.completions is not None]
    axis = Scale(max(1.0, min(counts)) / 1.5, max(counts) * 1.5, _DOTS, _RIGHT, logarithmic=True)
    sections = [
        (title, arrows(laboratory.of(name), axis, title), table_rows(laboratory.of(name)))
        for name, title in SECTIONS.items()
    ]
    return render_page(
        "laboratory/laboratory.html.jinja",
        laboratory=laboratory,
        finding=finding(laboratory),
        setting=setting(laboratory),
        sections=sections,
        headings=[(column.heading, column.left) for column in COLUMNS],
    )


def arrows(rows: Sequence[Measured], axis: Scale, title: str) -> str:
    """The picture of one section. ``axis`` places numbers of completions."""
    height = _TOP + _ROW * len(rows) + _BOTTOM
    parts = [
        label(_ORIGIN, 14, "expected gradient", class_="title"),
        label((_DOTS + _RIGHT) / 2, 14, "completions until noise = signal", text_anchor="middle"),
    ]
    for tick in log_ticks(axis.low, axis.high):
        x = axis(tick)
        parts.append(element("line", x1=x, x2=x, y1=_TOP, y2=height - _BOTTOM, class_="grid"))
        parts.append(label(x, height - _BOTTOM + 16, f"{tick:,.0f}", text_anchor="middle"))
    for number, row in enumerate(rows):
        y = _TOP + _ROW * (number + 0.75)
        parts.append(label(_NAMES, y + 4, row.name, text_anchor="end", class_="name"))
        truth = element("line", x1=_ORIGIN, x2=_ORIGIN + _UNIT, y1=y, y2=y, class_="lollipop")
        parts.append(element("g", truth, class_="hue-none"))
        tone = "tone-2" if degrees(row) == 0 else "tone-1"
        parts.append(element("g", _arrow(row, y) + _dot(row, axis, y), class_=tone))
    text = f"{title}: " + "; ".join(
        f"{row.name} {angle(row)}, {needed(row)} completions" for row in rows
    )
    return picture(_WIDTH, height, "".join(parts), text)


def _arrow(row: Measured, y: float) -> str:
    turned = degrees(row)
    if turned is None:
        return dot(_ORIGIN, y, f"{row.name}: no gradient", 3)
    told = f"{row.name}: {row.length:.3g} times as long as the true gradient, angle {angle(row)}"
    along = _UNIT * row.length * math.cos(math.radians(turned))
    across = _UNIT * row.length * math.sin(math.radians(turned))
    tip = (_ORIGIN + along, y - across)
    back, aside = math.atan2(-across, along), 0.45
    barbs = [
        (tip[0] - 7 * math.cos(back + turn), tip[1] - 7 * math.sin(back + turn))
        for turn in (aside, -aside)
    ]
    head = curve([barbs[0], tip, barbs[1]])
    return curve([(_ORIGIN, y), tip]) + head + dot(_ORIGIN, y, told, 2.4)


def _dot(row: Measured, axis: Scale, y: float) -> str:
    if row.completions is None:
        return ""
    return dot(axis(max(row.completions, axis.low)), y, f"{row.name}: {needed(row)} completions")
