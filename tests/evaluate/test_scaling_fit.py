"""The law through the points, against its own formula and plain linear regression."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from glassmind.errors import UserError
from glassmind.evaluate.scaling.fit import ScalingPoint, fit_scaling, hold_out
from glassmind.evaluate.scaling.page import (
    Scaling,
    ScalingRecord,
    render_scaling,
    scaling_record,
    sentences,
)
from glassmind.serialization import decode, encode

T_975 = {1: 12.706, 2: 4.303, 3: 3.182}  # the quantile of Student's t, from a printed table


def made(
    floor: float, exponent: float, sizes: int, off: Sequence[float] = ()
) -> list[ScalingPoint]:
    """Points of 8-fold compute each, on the law but for ``off`` in ln loss."""
    points = []
    for i in range(sizes):
        loss = (floor + 2 * 8.0 ** (-i * exponent)) * math.exp(off[i] if off else 0.0)
        points.append(ScalingPoint(i + 2, 0, 1000 * 8**i, 8000 * 8**i, 1e12 * 8.0**i, loss))
    return points


def scaling(points: list[ScalingPoint]) -> Scaling:
    curves = {point.depth: [(1000.0, 4.0), (2000.0, 3.0)] for point in points}
    return Scaling(
        "<text>", "bits a byte", 8, tuple(points), curves, fit_scaling(points), hold_out(points)
    )


def test_a_power_law_is_found_again() -> None:
    fit = fit_scaling(made(0, 0.1, 5))
    assert fit.exponent == pytest.approx(0.1)
    assert not fit.has_floor
    assert fit.r_squared == pytest.approx(1)
    assert fit.loss(1e12) == pytest.approx(2)


@pytest.mark.parametrize("sizes", [4, 5, 6])
def test_a_floor_is_found_again_where_the_points_show_one(sizes: int) -> None:
    fit = fit_scaling(made(1.5, 0.3, sizes))
    assert fit.floor == pytest.approx(1.5, rel=1e-4)
    assert fit.exponent == pytest.approx(0.3, rel=1e-4)


def test_noise_does_not_make_a_floor() -> None:
    fit = fit_scaling(made(0, 0.1, 5, off=[0.01, -0.01, 0.005, -0.008, 0.006]))
    assert not fit.has_floor


def test_the_interval_is_that_of_linear_regression() -> None:
    off = [0.01, -0.012, 0.004, 0.003]
    points = made(0, 0.1, 4, off)
    fit = fit_scaling(points)
    x = np.log([p.compute for p in points])
    y = np.log([p.loss for p in points])
    centred = x - x.mean()
    slope = float(centred @ y / (centred @ centred))
    residual = y - y.mean() - slope * centred
    error = math.sqrt(float(residual @ residual) / 2 / float(centred @ centred))
    assert fit.exponent == pytest.approx(-slope)
    assert fit.high - fit.exponent == pytest.approx(T_975[2] * error, rel=1e-3)
    assert fit.residuals == pytest.approx(np.expm1(residual))
    low, high = fit.band(points[0].compute)
    spread = math.sqrt(
        float(residual @ residual) / 2 * (1 / 4 + centred[0] ** 2 / (centred @ centred))
    )
    assert math.log(high / low) / 2 == pytest.approx(T_975[2] * spread, rel=1e-3)


def test_the_interval_holds_what_it_should_about_95_times_in_100() -> None:
    random = np.random.default_rng(0)
    inside = 0
    for _ in range(100):
        fit = fit_scaling(made(0, 0.1, 5, off=list(0.01 * random.standard_normal(5))))
        inside += fit.low <= 0.1 <= fit.high
    assert 88 <= inside <= 100


def test_the_largest_size_is_predicted_from_the_others_alone() -> None:
    points = made(0, 0.1, 5)
    points[-1] = replace(points[-1], loss=points[-1].loss * 1.1)
    held = hold_out(points)
    assert held.depth == 6
    assert held.predicted == pytest.approx(2 * 8.0**-0.4)
    assert held.error == pytest.approx(1 / 1.1 - 1)


def test_two_points_have_a_line_and_no_interval() -> None:
    fit = fit_scaling(made(0, 0.1, 2))
    assert math.isnan(fit.low)
    assert fit.exponent == pytest.approx(0.1)


def test_what_no_law_goes_through_is_refused() -> None:
    with pytest.raises(UserError, match="1 size is too few"):
        fit_scaling(made(0, 0.1, 1))
    with pytest.raises(UserError, match="depth 2, seed 0 ended with a loss of nan"):
        fit_scaling([replace(p, loss=math.nan) for p in made(0, 0.1, 3)])


@pytest.mark.parametrize("floor", [0.0, 1.5])
@pytest.mark.parametrize("sizes", [3, 5])
def test_the_page_stands_alone_and_the_record_is_json(floor: float, sizes: int) -> None:
    import json

    shown = scaling(made(floor, 0.3, sizes))
    page = render_scaling(shown)
    assert "<script" not in page
    assert "&lt;text&gt;" in page
    assert "<text> " not in page
    assert "prefers-color-scheme: dark" in page
    assert "nan" not in page.partition("</style>")[2]
    assert page.count("<circle") >= sizes + 1
    record = scaling_record(shown)
    text = json.dumps(encode(record), allow_nan=False)
    assert decode(ScalingRecord, json.loads(text), "here") == record
    assert len(record.points) == sizes
    assert any(f"depth {sizes + 1}" in sentence for sentence in sentences(shown))
