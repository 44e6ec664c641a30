"""Line charts with a common axis, for training curves.

Like everything in ``svg``, a chart is text that the page's style sheet colours; a line carries a
class (``tone-0`` to ``tone-7``) instead of a colour.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from glassmind.evaluate.charts.svg import (
    Scale,
    curve,
    dot,
    element,
    frame,
    label,
    log_ticks,
    picture,
    ticks,
)

WIDTH, HEIGHT = 400, 290
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 14, 12, 44

MAX_POINTS = 300
"""A line with more points is averaged down to this many; a screen shows no more."""

FEW_POINTS = 40
"""A line of at most this many points shows each as a dot with a tooltip."""

TONES = 8
"""The number of colours in the style sheet."""

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Line:
    """``points`` are (x, y), x ascending. ``tone`` is a colour's number."""

    name: str
    points: Sequence[Point]
    tone: int = 0
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Band:
    """A shaded range of y with a label."""

    name: str
    low: float
    high: float


def line_chart(
    lines: Sequence[Line],
    x_title: str,
    description: str,
    *,
    x_format: Callable[[float], str],
    y_format: Callable[[float], str],
    logarithmic: bool = False,
    bands: Sequence[Band] = (),
    from_zero: bool = True,
) -> str | None:
    """The lines as SVG, ``None`` if there is nothing to draw.

    On a ``logarithmic`` axis values that are not above zero are left out; bands are always in view.
    ``from_zero`` begins the x axis at zero; the y axis covers the range of the lines.
    """
    kept = [
        (line, [p for p in thinned(line.points) if not logarithmic or p[1] > 0]) for line in lines
    ]
    kept = [(line, points) for line, points in kept if points]
    if not kept:
        return None
    xs = [x for _, points in kept for x, _ in points]
    ys = [y for _, points in kept for _, y in points]
    ys += [end for band in bands for end in (band.low, band.high)]
    low = 0.0 if from_zero else min(xs)
    x = Scale(low, max(*xs, low + 1e-9), _LEFT, WIDTH - _RIGHT)
    y = _y_scale(min(ys), max(ys), logarithmic)
    parts = []
    for band in bands:
        top, bottom = y(band.high), y(band.low)
        width, height = x.stop - x.start, bottom - top
        parts.append(element("rect", x=x.start, y=top, width=width, height=height, class_="band"))
    y_ticks = log_ticks(y.low, y.high) if logarithmic else ticks(y.low, y.high)
    parts.append(frame(x, y, ticks(x.low, x.high, 5), y_ticks, x_title, x_format, y_format))
    for line, points in kept:
        places = [(x(a), y(b)) for a, b in points]
        drawn = curve(places) if len(places) > 1 else ""
        if len(places) <= FEW_POINTS and not line.dashed:
            drawn += "".join(
                dot(*place, f"{line.name}, {x_title} {x_format(a)}: {b:.4g}", 2.4)
                for place, (a, b) in zip(places, points, strict=True)
            )
        parts.append(element("g", drawn, class_=_class(line)))
    # On top, at the left: lines tend to end to the right of where a band begins.
    parts += [label(x.start + 5, y(band.high) + 13, band.name, class_="over") for band in bands]
    return picture(WIDTH, HEIGHT, "".join(parts), description)


def keys(lines: Sequence[Line]) -> str:
    """Colour keys for lines, as HTML, each name once."""
    named = {line.name: line for line in reversed(lines)}
    written = "".join(
        f'<li class="{_class(line)}"><i></i>{escape(name)}</li>'
        for name, line in reversed(named.items())
    )
    return f'<ul class="legend">{written}</ul>'


def thinned(points: Sequence[Point]) -> list[Point]:
    """Averages of neighbouring points, so that at most ``MAX_POINTS`` remain."""
    size = -(-len(points) // MAX_POINTS)
    if size <= 1:
        return list(points)
    groups = [points[i : i + size] for i in range(0, len(points), size)]
    return [(g[len(g) // 2][0], sum(value for _, value in g) / len(g)) for g in groups]


def _y_scale(low: float, high: float, logarithmic: bool) -> Scale:
    """A vertical scale with a small margin around the values."""
    if logarithmic:
        return Scale(low / 1.5, high * 1.5, HEIGHT - _BOTTOM, _TOP, logarithmic=True)
    air = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
    low = 0.0 if 0 <= low < 0.25 * high else low - air
    return Scale(low, high + air, HEIGHT - _BOTTOM, _TOP)


def _class(line: Line) -> str:
    return f"tone-{line.tone % TONES}" + (" dashed" if line.dashed else "")
