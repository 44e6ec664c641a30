"""The page of a frontier: accuracy against tokens and against seconds, and the tables."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from importlib import resources
from pathlib import Path

from glassmind.evaluate.charts.line_chart import TONES, Line, keys
from glassmind.evaluate.charts.svg import (
    Scale,
    curve,
    dot,
    element,
    error_bar,
    frame,
    label,
    log_ticks,
    picture,
    ticks,
)
from glassmind.evaluate.frontier.results import (
    COLUMNS,
    EQUAL_COLUMNS,
    Frontier,
    FrontierPoint,
    equal_rows,
    table_rows,
)
from glassmind.evaluate.ladder.names import is_ceiling, title
from glassmind.evaluate.page_template import render_page
from glassmind.evaluate.wording import count, interval, percent
from glassmind.files import write_text

_WIDTH, _HEIGHT = 460, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 16, 14, 44

_KEYS = 3  # names in a row of the figure's key

Cost = Callable[[FrontierPoint], float]


def write_frontier_page(frontier: Frontier, path: Path) -> None:
    """Write the page to ``path``. Raises ``UserError`` where it cannot be written."""
    write_text(path, render_frontier(frontier))


def write_frontier_figure(frontier: Frontier, path: Path) -> None:
    """Write the figure to ``path``, if there is anything to draw."""
    figure = render_figure(frontier)
    if figure is not None:
        write_text(path, figure + "\n")


def render_frontier(frontier: Frontier) -> str:
    """The whole page as HTML text."""
    return render_page(
        "frontier/frontier.html.jinja",
        frontier=frontier,
        sentence=finding(frontier),
        against_tokens=cost_panel(frontier, "tokens", lambda point: point.tokens),
        against_seconds=cost_panel(frontier, "seconds", lambda point: point.seconds),
        legend=keys(_lines(frontier)),
        headings=[column.heading for column in COLUMNS],
        rows=table_rows(frontier),
        equal_headings=[column.heading for column in EQUAL_COLUMNS],
        equal_rows=equal_rows(frontier),
    )


def finding(frontier: Frontier) -> str:
    """The most accurate point, and the cheapest one inside its interval, in sentences."""
    answering = [point for point in frontier.points if not is_ceiling(point.method)]
    if not answering:
        return "No method answered."
    best = max(answering, key=lambda point: (point.accuracy, -point.tokens))
    near = min(
        (point for point in answering if point.accuracy >= best.ci_low), key=lambda p: p.tokens
    )
    said = (
        f"The highest accuracy is {percent(best.accuracy)} ({title(best.method)}, "
        f"{count(best.tokens)} tokens per problem)."
    )
    if near != best:
        said += (
            f" The cheapest point inside its interval is {title(near.method)} with "
            f"{percent(near.accuracy)} for {count(near.tokens)} tokens."
        )
    return said


def _lines(frontier: Frontier) -> list[Line]:
    """A line for each method, for its colour and its key; ceilings and repeats are dashed."""
    return [
        Line(title(name), [(1, 1)], number, dashed=is_ceiling(name) or number >= TONES)
        for number, name in enumerate(frontier.methods)
    ]


def cost_panel(frontier: Frontier, what: str, cost: Cost) -> str | None:
    """Accuracy against a cost (logarithmic): a line with intervals for each method; ``None`` if no
    point has a cost."""
    body = _drawn(frontier, what, cost)
    if body is None:
        return None
    return picture(_WIDTH, _HEIGHT, body, f"Accuracy against {what}. {finding(frontier)}")


def render_figure(frontier: Frontier) -> str | None:
    """Accuracy against tokens as an SVG file of its own, with a key and the page's style sheet."""
    body = _drawn(frontier, "tokens", lambda point: point.tokens)
    if body is None:
        return None
    parts, rows = [body], -(-len(frontier.methods) // _KEYS)
    for number, line in enumerate(_lines(frontier)):
        row, column = divmod(number, _KEYS)
        x, y = 20 + column * (_WIDTH - 20) / _KEYS, _HEIGHT + 16 + 18 * row
        mark = element("circle", cx=x, cy=y - 4, r=4, class_="dot")
        parts.append(element("g", mark, class_=f"tone-{line.tone % TONES}"))
        parts.append(label(x + 9, y, line.name))
    height = _HEIGHT + 18 * rows + 10
    paper = element("rect", width=_WIDTH, height=height, fill="var(--paper)")
    style = resources.files("glassmind.evaluate").joinpath("report.css").read_text("utf-8")
    return element(
        "svg",
        element("title", escape(finding(frontier)))
        + element("style", escape(style, quote=False))
        + paper
        + "".join(parts),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {_WIDTH} {height}",
        width=_WIDTH * 3 // 2,
        role="img",
    )


def _drawn(frontier: Frontier, what: str, cost: Cost) -> str | None:
    shown = [point for point in frontier.points if cost(point) > 0]
    if not shown:
        return None
    costs = [cost(point) for point in shown]
    low, high = min(p.ci_low for p in shown), max(p.ci_high for p in shown)
    air = (high - low) * 0.06 or 0.05
    x = Scale(min(costs) / 1.3, max(costs) * 1.3, _LEFT, _WIDTH - _RIGHT, logarithmic=True)
    y = Scale(max(0.0, low - air), min(1.0, high + air), _HEIGHT - _BOTTOM, _TOP)
    words = "tokens per problem, written and judged" if what == "tokens" else "seconds per problem"
    parts = [
        frame(
            x,
            y,
            log_ticks(x.low, x.high),
            ticks(y.low, y.high),
            words,
            "{:,.4g}".format,
            "{:.0%}".format,
        )
    ]
    for number, name in enumerate(frontier.methods):
        own = [point for point in frontier.of(name) if cost(point) > 0]
        own.sort(key=cost)
        places = [(x(cost(point)), y(point.accuracy)) for point in own]
        drawn = curve(places) if len(places) > 1 else ""
        for place, point in zip(places, own, strict=True):
            told = (
                f"{title(name)}, {point.samples} samples: {percent(point.accuracy)} "
                f"({interval(point.ci_low, point.ci_high)}), {cost(point):,.4g} {what}"
            )
            drawn += error_bar(place[0], y(point.ci_low), y(point.ci_high))
            drawn += dot(*place, told, 3)
        dashed = " dashed" if is_ceiling(name) or number >= TONES else ""
        parts.append(element("g", drawn, class_=f"tone-{number % TONES}{dashed}"))
    return "".join(parts)
