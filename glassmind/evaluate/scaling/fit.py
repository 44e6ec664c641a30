"""Loss against compute over several sizes: the line through the points, and how far to trust it.

    L(C) = E + a · C^-b

(Kaplan et al. 2020, arXiv 2001.08361; Hoffmann et al. 2022, 2203.15556.) C are the floating-point
operations of a training run, a and b describe how the loss falls with them, and E is the loss that
no model can get below, the entropy of the text. Over a narrow range of sizes E cannot be
distinguished from a slightly smaller b. It is kept only if its 95 % interval is above zero;
otherwise E is 0, and the law is a straight line on logarithmic axes.

The sum of the squared residuals of ln L is minimised: directly for the straight line, and otherwise
by Gauss-Newton steps with Levenberg's damping from several starting values of E. Intervals come
from the covariance of the least-squares solution, with Student's t for the few degrees of freedom
that are left. A good fit to the points it was made from proves little; a better test leaves out the
largest size and predicts it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glassmind.errors import UserError
from glassmind.statistics import t_quantile

FEWEST_SIZES = 3
_SIZES_FOR_FLOOR = 4
_STARTS = (0.0, 0.2, 0.4, 0.6, 0.8, 0.95)  # of the lowest loss, for E

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ScalingPoint:
    """One finished run: its size, its compute, and the held-out loss it reached.

    ``parameters`` is the N of the depth dial; ``compute`` is in floating-point operations.
    """

    depth: int
    seed: int
    parameters: int
    tokens: int
    compute: float
    loss: float


@dataclass(frozen=True, slots=True)
class ScalingFit:
    """``loss = floor + scale * (compute / unit) ** -exponent``.

    ``low`` and ``high`` are the 95 % interval of the exponent, ``r_squared`` is of ln L, and
    ``residuals`` are measured over fitted less 1, in the order of the points. ``covariance`` is of
    (floor, ln scale, exponent), ``t`` the quantile for intervals. With as many fitted numbers as
    points there are no intervals, and both are NaN.
    """

    floor: float
    scale: float
    exponent: float
    unit: float
    low: float
    high: float
    r_squared: float
    residuals: tuple[float, ...]
    covariance: Array
    t: float

    @property
    def has_floor(self) -> bool:
        return self.floor > 0

    def loss(self, compute: float) -> float:
        """The fitted loss."""
        return self.floor + self.scale * (compute / self.unit) ** -self.exponent

    def band(self, compute: float) -> tuple[float, float]:
        """The 95 % interval of the fitted curve at ``compute``."""
        x = np.array([math.log(compute / self.unit)])
        slope = _jacobian(x, self.floor, math.log(self.scale), self.exponent)[0]
        spread = self.t * math.sqrt(max(0.0, float(slope @ self.covariance @ slope)))
        middle = self.loss(compute)
        return middle * math.exp(-spread), middle * math.exp(spread)


@dataclass(frozen=True, slots=True)
class HeldOut:
    """The largest size as predicted by a fit to all the others; ``error`` is predicted over
    measured less 1."""

    depth: int
    compute: float
    measured: float
    predicted: float
    error: float
    fit: ScalingFit


def fit_scaling(points: Sequence[ScalingPoint]) -> ScalingFit:
    """The law through ``points``: with a floor if they determine one, otherwise without.

    Raises:
        UserError: fewer than two sizes, or a loss that is not a positive number.
    """
    for point in points:
        if not (0 < point.loss < math.inf):
            raise UserError(
                f"the run of depth {point.depth}, seed {point.seed} ended with a loss of "
                f"{point.loss}: a law needs losses above 0"
            )
    sizes = len({point.depth for point in points})
    if sizes < 2:
        raise UserError(f"{sizes} size is too few for a law: give at least {FEWEST_SIZES} depths")
    compute = np.array([point.compute for point in points])
    unit = float(np.exp(np.log(compute).mean()))
    x, y = np.log(compute / unit), np.log([point.loss for point in points])
    straight = _finished(x, y, np.array([0.0, *_line(x, y)]), unit, free=(1, 2))
    if sizes < _SIZES_FOR_FLOOR:
        return straight
    bent = _with_floor(x, y, unit)
    least = bent.floor - bent.t * math.sqrt(bent.covariance[0, 0])
    certain = least > 1e-6 * min(point.loss for point in points)  # more than rounding errors
    return bent if certain and bent.exponent > 0 else straight


def hold_out(points: Sequence[ScalingPoint]) -> HeldOut:
    """Fit all sizes but the largest, and predict that one."""
    depth = max(point.depth for point in points)
    largest = [point for point in points if point.depth == depth]
    fit = fit_scaling([point for point in points if point.depth != depth])
    compute = largest[0].compute
    measured = math.exp(sum(math.log(point.loss) for point in largest) / len(largest))
    predicted = fit.loss(compute)
    return HeldOut(depth, compute, measured, predicted, predicted / measured - 1, fit)


# ------------------------------------------------------------------------- least squares


def _line(x: Array, y: Array) -> tuple[float, float]:
    """(ln scale, exponent) of the straight line y = ln scale - exponent * x."""
    slope, start = np.polyfit(x, y, 1)
    return float(start), float(-slope)


def _model(x: Array, floor: float, log_scale: float, exponent: float) -> Array:
    """ln L at x = ln(C / unit)."""
    values: Array = np.log(floor + np.exp(log_scale - exponent * x))
    return values


def _jacobian(x: Array, floor: float, log_scale: float, exponent: float) -> Array:
    """Derivatives of ``_model`` by its three numbers, (points, 3)."""
    above = np.exp(log_scale - exponent * x)
    total = floor + above
    return np.stack([1 / total, above / total, -above * x / total], axis=1)


def _with_floor(x: Array, y: Array, unit: float) -> ScalingFit:
    """The best of the descents from all starting floors."""
    lowest = math.exp(float(y.min()))
    found = []
    for share in _STARTS:
        above = np.log(np.exp(y) - share * lowest)
        found.append(_descend(x, y, np.array([share * lowest, *_line(x, above)])))
    best = min(found, key=lambda theta: _squares(x, y, theta))
    return _finished(x, y, best, unit, free=(0, 1, 2))


def _descend(x: Array, y: Array, theta: Array) -> Array:
    """Gauss-Newton from ``theta``, damped so that no step makes the fit worse; the floor >= 0."""
    damping, squares = 1e-3, _squares(x, y, theta)
    for _ in range(200):
        slope = _jacobian(x, *theta)
        normal = slope.T @ slope
        damped = normal + damping * np.diag(np.diag(normal))
        step = np.linalg.lstsq(damped, slope.T @ (y - _model(x, *theta)), rcond=None)[0]
        tried = theta + step
        tried[0] = max(0.0, tried[0])
        now = _squares(x, y, tried)
        if not now < squares:
            damping *= 10
            if damping > 1e12:
                break
            continue
        converged = squares - now < 1e-10 * squares
        theta, squares, damping = tried, now, max(1e-12, damping / 10)
        if converged:
            break
    return theta


def _squares(x: Array, y: Array, theta: Array) -> float:
    return float(np.sum((y - _model(x, *theta)) ** 2))


def _finished(x: Array, y: Array, theta: Array, unit: float, free: tuple[int, ...]) -> ScalingFit:
    """A fit with its errors; ``free`` are the numbers that were fitted."""
    off = y - _model(x, *theta)
    squares, spread = float(off @ off), float(np.sum((y - y.mean()) ** 2))
    degrees = len(y) - len(free)
    covariance, t = np.full((3, 3), math.nan), math.nan
    if degrees > 0:
        slope = _jacobian(x, *theta)[:, free]
        covariance = np.zeros((3, 3))
        covariance[np.ix_(free, free)] = squares / degrees * np.linalg.pinv(slope.T @ slope)
        t = t_quantile(0.975, degrees)
    half = t * math.sqrt(covariance[2, 2])
    floor, log_scale, exponent = map(float, theta)
    return ScalingFit(
        floor=floor,
        scale=math.exp(log_scale),
        exponent=exponent,
        unit=unit,
        low=exponent - half,
        high=exponent + half,
        r_squared=1 - squares / spread if spread > 0 else math.nan,
        residuals=tuple(float(value) for value in np.expm1(off)),
        covariance=covariance,
        t=t,
    )
