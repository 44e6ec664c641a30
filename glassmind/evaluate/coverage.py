"""Learned or sharpened? Pass@k of a model before and after its training, for k from 1 up.

Learning from reward can do two things to a model. It can make it surer of solutions that it already
found now and then: then pass@1 rises, and pass@k for large k stays or falls, since many samples of
the model before solved the same problems. Or it can teach solutions that many samples did not find
before: then pass@k rises for every k. Yue et al. 2025 (arXiv 2504.13837) found mostly the first.

Pass@k is the unbiased estimate from all samples (``statistics.pass_at_k``; Chen et al. 2021, arXiv
2107.03374). Both models answer the same problems, so the difference is taken problem by problem,
and its interval is that of a paired comparison.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from glassmind.errors import UserError
from glassmind.evaluate.charts.line_chart import Line
from glassmind.evaluate.charts.line_chart import keys as line_keys
from glassmind.evaluate.charts.svg import (
    Scale,
    curve,
    dot,
    element,
    error_bar,
    frame,
    picture,
    ticks,
)
from glassmind.evaluate.columns import Column
from glassmind.evaluate.frontier.results import accuracy_interval
from glassmind.evaluate.page_template import render_page
from glassmind.evaluate.wording import interval, percent, points
from glassmind.files import write_text
from glassmind.quantity import quantity
from glassmind.serialization import MOST_RESULT, decode, read_json
from glassmind.statistics import mean_and_interval, pass_at_k

SCHEMA = 1
FILE = "coverage.json"

_WIDTH, _HEIGHT = 400, 290
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 14, 12, 44


@dataclass(frozen=True, slots=True)
class CoveragePoint:
    """Pass@``k`` before and after, each with its 95 % interval over the problems, and the mean
    difference with that of a paired comparison."""

    k: int
    before: float
    before_low: float
    before_high: float
    after: float
    after_low: float
    after_high: float
    difference: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Coverage:
    """``coverage.json``: two models on the same ``n`` problems, ``samples`` chains of each."""

    schema: int
    before: str
    after: str
    task: str
    n: int
    samples: int
    temperature: float
    seed: int
    points: tuple[CoveragePoint, ...]

    @property
    def finding(self) -> str:
        """What the training did, in words."""
        first, last = self.points[0], self.points[-1]
        start = f"pass@1 goes from {percent(first.before)} to {percent(first.after)}"
        end = f"pass@{last.k} from {percent(last.before)} to {percent(last.after)}"
        both = f"{start}, {end} ({quantity(self.n, 'problem')})"
        if first.low <= 0 <= first.high:
            return f"No supported change: {both}."
        if first.high < 0:
            return f"It became worse: {both}."
        if last.high < 0:
            return (
                f"Sharpened, and narrowed: {both}. It is surer of what it could do before, and "
                "finds fewer solutions among many samples."
            )
        if last.low > 0:
            return (
                f"Learned: {both}. It also solves problems for which {last.k} samples of the model "
                "before were not enough."
            )
        return (
            f"Sharpened: {both}. It is surer of what it could do before; with {last.k} samples the "
            "difference is within what chance explains."
        )


def coverage_points(
    before: Sequence[tuple[int, int]], after: Sequence[tuple[int, int]], ks: Sequence[int]
) -> list[CoveragePoint]:
    """The points, from (chains, right chains) of each problem, before and after.

    Raises:
        ValueError: the two differ in their problems, or there is a ``k`` above a number of chains.
    """
    found = []
    for k in ks:
        pairs = [
            (pass_at_k(*one, k), pass_at_k(*other, k))
            for one, other in zip(before, after, strict=True)
        ]
        first, second = ([pair[side] for pair in pairs] for side in (0, 1))
        difference = mean_and_interval([b - a for a, b in pairs])
        found.append(
            CoveragePoint(
                k,
                fmean(first),
                *accuracy_interval(first),
                fmean(second),
                *accuracy_interval(second),
                *difference,
            )
        )
    return found


def read_coverage(path: Path) -> Coverage | None:
    """The file at ``path``; ``None`` if there is none.

    Raises:
        UserError: it is malformed, of another version, or has no points.
    """
    if not path.exists():
        return None
    value = read_json(path, most=MOST_RESULT)
    coverage = decode(Coverage, value, str(path), unknown_keys="ignore")
    if coverage.schema != SCHEMA or not coverage.points:
        raise UserError(f"{path} is of another version, or has no points: measure again")
    return coverage


def write_coverage_page(coverage: Coverage, path: Path) -> None:
    """Write the page to ``path``. Raises ``UserError`` where it cannot be written."""
    page = render_page(
        "coverage.html.jinja",
        coverage=coverage,
        panel=coverage_panel(coverage),
        legend=coverage_keys(coverage),
        headings=[column.heading for column in COVERAGE_COLUMNS],
        rows=coverage_rows(coverage),
    )
    write_text(path, page)


COVERAGE_COLUMNS = (
    Column("k"),
    Column("before"),
    Column("95 %", left=True, rank=2),
    Column("after"),
    Column("95 %", left=True, rank=2),
    Column("points"),
    Column("95 % of the difference", left=True, rank=1),
)


def coverage_rows(coverage: Coverage) -> list[tuple[str, ...]]:
    """A row of the table for each k."""
    return [
        (
            str(point.k),
            percent(point.before),
            interval(point.before_low, point.before_high),
            percent(point.after),
            interval(point.after_low, point.after_high),
            points(point.difference),
            f"{points(point.low)} to {points(point.high)}",
        )
        for point in coverage.points
    ]


def coverage_panel(coverage: Coverage) -> str:
    """Pass@k against k (logarithmic), a line for each model."""
    ks = [point.k for point in coverage.points]
    x = Scale(0.9, max(ks) * 1.1, _LEFT, _WIDTH - _RIGHT, logarithmic=True)
    lows = [min(point.before_low, point.after_low) for point in coverage.points]
    highs = [max(point.before_high, point.after_high) for point in coverage.points]
    air = max(0.02, 0.05 * (max(highs) - min(lows)))
    y = Scale(max(0.0, min(lows) - air), min(1.0, max(highs) + air), _HEIGHT - _BOTTOM, _TOP)
    parts = [frame(x, y, ks, ticks(y.low, y.high), "samples k", "{:.0f}".format, _percent)]
    for tone, (name, sides) in enumerate(
        (
            (coverage.before, [(p.before, p.before_low, p.before_high) for p in coverage.points]),
            (coverage.after, [(p.after, p.after_low, p.after_high) for p in coverage.points]),
        )
    ):
        places = [(x(k), y(share)) for k, (share, _, _) in zip(ks, sides, strict=True)]
        drawn = curve(places) if len(places) > 1 else ""
        for k, (at, height), (share, low, high) in zip(ks, places, sides, strict=True):
            words = f"{name}, pass@{k}: {percent(share)} ({interval(low, high)})"
            drawn += error_bar(at, y(low), y(high)) + dot(at, height, words, 3.5)
        parts.append(element("g", drawn, class_=f"tone-{tone}"))
    return picture(_WIDTH, _HEIGHT, "".join(parts), coverage.finding)


def coverage_keys(coverage: Coverage) -> str:
    """The colour keys of the panel, as HTML."""
    names = (f"before: {coverage.before}", f"after: {coverage.after}")
    return line_keys([Line(name, (), tone) for tone, name in enumerate(names)])


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
