"""The results of a scaling experiment: a table, a JSON record, and a page with two charts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from glassmind.evaluate.charts.line_chart import Line, keys, line_chart
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
from glassmind.evaluate.columns import Column
from glassmind.evaluate.page_template import render_page
from glassmind.evaluate.scaling.fit import HeldOut, ScalingFit, ScalingPoint
from glassmind.files import write_text

_WIDTH, _HEIGHT = 400, 290
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 16, 14, 44
_PLACES = 60  # along a drawn curve

COLUMNS = (
    Column("depth"),
    Column("seed", rank=1),
    Column("loss"),
    Column("fitted", rank=1),
    Column("off by"),
    Column("parameters", rank=3),
    Column("tokens", rank=4),
    Column("compute", rank=2),
)


@dataclass(frozen=True, slots=True)
class Scaling:
    """One experiment. ``unit`` is the unit of the losses of ``points``; ``curves`` are (tokens,
    training loss in nats) of one run of each depth."""

    name: str
    unit: str
    tokens_per_parameter: float
    points: tuple[ScalingPoint, ...]
    curves: Mapping[int, Sequence[tuple[float, float]]]
    fit: ScalingFit
    held_out: HeldOut


@dataclass(frozen=True, slots=True)
class FitRecord:
    """A ``ScalingFit`` as JSON, with the formula; intervals are at 95 %."""

    law: str
    floor: float
    scale: float
    exponent: float
    unit: float
    exponent_interval: tuple[float | None, float | None]
    interval_from: str
    r_squared: float | None
    residuals: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class HeldOutRecord:
    """A ``HeldOut`` as JSON."""

    depth: int
    compute: float
    measured: float
    predicted: float
    error: float
    fit: FitRecord


@dataclass(frozen=True, slots=True)
class ScalingRecord:
    """``scaling.json``. ``curves`` are (tokens, training loss in nats) by depth."""

    name: str
    unit: str
    tokens_per_parameter: float
    points: tuple[ScalingPoint, ...]
    fit: FitRecord
    held_out: HeldOutRecord
    curves: dict[str, tuple[tuple[float, float], ...]]


def table_rows(scaling: Scaling) -> list[tuple[str, ...]]:
    """A row for each run, under ``COLUMNS``."""
    return [
        (
            str(point.depth),
            str(point.seed),
            f"{point.loss:.4f}",
            f"{scaling.fit.loss(point.compute):.4f}",
            f"{100 * residual:+.2f} %",
            f"{point.parameters:,}",
            f"{point.tokens:,}",
            f"{point.compute:.2e}",
        )
        for point, residual in zip(scaling.points, scaling.fit.residuals, strict=True)
    ]


def sentences(scaling: Scaling) -> list[str]:
    """The fit and its test, in sentences."""
    fit, held = scaling.fit, scaling.held_out
    floor = f"{fit.floor:.4f} + " if fit.has_floor else ""
    law = f"loss = {floor}{fit.scale:.4f} · (C / {fit.unit:.3g})^-{fit.exponent:.4f}"
    sure = "with as many numbers as runs, its exponent has no interval"
    if not math.isnan(fit.low):
        sure = f"95 % interval of the exponent {fit.low:.4f} to {fit.high:.4f}"
    why = (
        "The law has a floor, a loss that no amount of compute gets below: it is above 0 with "
        "95 % confidence."
        if fit.has_floor
        else "These runs do not show whether there is a floor, a loss that no amount of compute "
        "gets below; the law is fitted without one."
    )
    largest = max(abs(residual) for residual in fit.residuals)
    return [
        f"{law}; {sure} (covariance of least squares in ln loss, Student's t).",
        f"{why} R² {fit.r_squared:.4f}, largest residual {100 * largest:.2f} %.",
        f"Fitted without depth {held.depth}, it is predicted to reach {held.predicted:.4f}; it "
        f"reached {held.measured:.4f}: an error of {100 * held.error:+.2f}\u00a0%.",
    ]


def scaling_record(scaling: Scaling) -> ScalingRecord:
    """The whole experiment as in ``scaling.json``; an unknown value is ``None``."""
    held = scaling.held_out
    return ScalingRecord(
        name=scaling.name,
        unit=scaling.unit,
        tokens_per_parameter=scaling.tokens_per_parameter,
        points=scaling.points,
        fit=_fit_record(scaling.fit),
        held_out=HeldOutRecord(
            depth=held.depth,
            compute=held.compute,
            measured=held.measured,
            predicted=held.predicted,
            error=held.error,
            fit=_fit_record(held.fit),
        ),
        curves={str(depth): tuple(rows) for depth, rows in scaling.curves.items()},
    )


def _fit_record(fit: ScalingFit) -> FitRecord:
    def known(number: float) -> float | None:
        return number if math.isfinite(number) else None

    return FitRecord(
        law="loss = floor + scale * (compute / unit) ** -exponent",
        floor=fit.floor,
        scale=fit.scale,
        exponent=fit.exponent,
        unit=fit.unit,
        exponent_interval=(known(fit.low), known(fit.high)),
        interval_from="covariance of least squares in ln loss, Student's t",
        r_squared=known(fit.r_squared),
        residuals=tuple(fit.residuals),
    )


def write_scaling_page(scaling: Scaling, path: Path) -> None:
    """Write the page to ``path``. Raises ``UserError`` where it cannot be written."""
    write_text(path, render_scaling(scaling))


def render_scaling(scaling: Scaling) -> str:
    """The whole page as HTML text."""
    lines = _curve_lines(scaling)
    return render_page(
        "scaling/scaling.html.jinja",
        scaling=scaling,
        headings=[column.heading for column in COLUMNS],
        rows=table_rows(scaling),
        sentences=sentences(scaling),
        law=law_panel(scaling),
        curves=curves_panel(scaling, lines),
        depths=keys(lines),
    )


def law_panel(scaling: Scaling) -> str:
    """Loss against compute, both logarithmic: runs, law and band, and the law fitted without the
    largest size and extended to it."""
    fit, held = scaling.fit, scaling.held_out
    low = min(point.compute for point in scaling.points) / 1.5
    high = max(point.compute for point in scaling.points) * 1.5
    along = [low * (high / low) ** (i / (_PLACES - 1)) for i in range(_PLACES)]
    bands = [fit.band(c) for c in along]
    losses = [point.loss for point in scaling.points] + [held.predicted]
    losses += [end for c in (low, high) for end in fit.band(c) if math.isfinite(end)]
    losses += [fit.loss(low), fit.loss(high)]
    air = (max(losses) / min(losses)) ** 0.05
    x = Scale(low, high, _LEFT, _WIDTH - _RIGHT, logarithmic=True)
    y = Scale(min(losses) / air, max(losses) * air, _HEIGHT - _BOTTOM, _TOP, logarithmic=True)
    parts = []
    if all(math.isfinite(end) for band in bands for end in band):
        edge = [(x(c), y(max(b[0], y.low))) for c, b in zip(along, bands, strict=True)]
        edge += [(x(c), y(b[1])) for c, b in reversed(list(zip(along, bands, strict=True)))]
        path = "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in edge) + "Z"
        parts.append(element("path", d=path, class_="band"))
    parts.append(
        frame(
            x,
            y,
            log_ticks(low, high),
            ticks(y.low, y.high, 6) if y.high < 10 * y.low else log_ticks(y.low, y.high),
            "floating-point operations of the training",
            lambda value: f"{value:.0e}".replace("e+", "e"),
            "{:.3g}".format,
        )
    )
    places = [(x(c), y(fit.loss(c))) for c in along]
    parts.append(element("g", curve(places), class_="tone-0"))
    before = [(x(c), y(held.fit.loss(c))) for c in along if held.fit.loss(c) > y.low]
    parts.append(element("g", curve(before), class_="tone-4 dashed"))
    at, height = x(held.compute), y(held.predicted)
    words = f"depth {held.depth} predicted {held.predicted:.4f}, measured {held.measured:.4f}"
    ring = dot(at, height, words, 6).replace('class="dot"', 'class="error"')
    parts.append(element("g", ring, class_="tone-4"))
    first: set[int] = set()
    for point in scaling.points:
        words = f"depth {point.depth}, seed {point.seed}: {point.loss:.4f} {scaling.unit}"
        place = x(point.compute), y(point.loss)
        parts.append(element("g", dot(*place, words, 3.5), class_="tone-0"))
        if point.depth not in first:
            first.add(point.depth)
            name = f"depth {point.depth}"
            if place[0] > _WIDTH - 60:  # no room beside it
                over = place[0], place[1] - 10
                parts.append(label(*over, name, text_anchor="middle", class_="note"))
            else:
                # Beside the dot and above it, or below where the ring of the prediction is.
                near = abs(at - place[0]) < 60 and -24 < height - place[1] < 6
                below = 16 if near and height <= place[1] else -8
                parts.append(label(place[0] + 6, place[1] + below, name, class_="note"))
    spoken = "; ".join(f"depth {p.depth} {p.loss:.4f}" for p in scaling.points)
    description = f"Held-out loss in {scaling.unit} against compute: {spoken}."
    return picture(_WIDTH, _HEIGHT, "".join(parts), description)


def curves_panel(scaling: Scaling, lines: Sequence[Line]) -> str | None:
    """Training loss against tokens, a line for every depth; ``None`` if nothing was logged."""
    ends = "; ".join(f"{line.name} ends at {line.points[-1][1]:.4g}" for line in lines)
    return line_chart(
        lines,
        "tokens",
        f"Training loss against tokens: {ends}.",
        x_format=_tokens,
        y_format="{:.3g}".format,
    )


def _curve_lines(scaling: Scaling) -> list[Line]:
    return [
        Line(f"depth {depth}", rows, tone)
        for tone, (depth, rows) in enumerate(scaling.curves.items())
        if rows
    ]


def _tokens(number: float) -> str:
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.4g}{unit}"
    return f"{number:.0f}"
