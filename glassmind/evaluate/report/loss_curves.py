"""The report's picture of training: the losses over the steps of one stage."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from glassmind.evaluate.charts.svg import Scale, curve, dot, frame, picture, ticks
from glassmind.evaluate.run_files import Metric
from glassmind.evaluate.wording import count

_WIDTH, _HEIGHT = 400, 290
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 14, 12, 44

MAX_POINTS = 300
"""A loss curve is averaged down to this many points; a screen shows no more."""


def loss_panel(metrics: Sequence[Metric], stage: str) -> str | None:
    """Training loss (line) and validation loss (dots) of one stage; ``None`` without any."""
    losses = [(m.step, m.loss) for m in metrics if m.stage == stage and m.loss is not None]
    checks = [
        (m.step, m.validation_loss)
        for m in metrics
        if m.stage == stage and m.validation_loss is not None
    ]
    if not losses and not checks:
        return None
    losses = _thinned(losses)
    values = [value for _, value in losses + checks]
    x = _step_scale([step for step, _ in losses + checks])
    y = Scale(min(0.0, *values), max(values) * 1.05 or 1.0, _HEIGHT - _BOTTOM, _TOP)
    body = _step_frame(x, y, ticks(y.low, y.high), "{:.3g}".format)
    body += curve([(x(step), y(value)) for step, value in losses])
    body += "".join(
        dot(x(step), y(value), f"step {step}: validation loss {value:.4f}", 3)
        for step, value in checks
    )
    ends = f"training loss from {losses[0][1]:.3g} to {losses[-1][1]:.3g}" if losses else ""
    if checks:
        ends += f"{', ' if ends else ''}validation loss {checks[-1][1]:.3g} at the end"
    return picture(_WIDTH, _HEIGHT, body, f"Loss of the {stage} stage: {ends}.")


def _step_scale(steps: Sequence[int]) -> Scale:
    return Scale(0, max(1, *steps), _LEFT, _WIDTH - _RIGHT)


def _step_frame(
    x: Scale, y: Scale, y_ticks: Sequence[float], y_format: Callable[[float], str]
) -> str:
    return frame(x, y, ticks(0, x.high, 5), y_ticks, "training step", count, y_format)


def _thinned(points: list[tuple[int, float]]) -> list[tuple[int, float]]:
    """Averages of neighbouring points, so that at most ``MAX_POINTS`` remain."""
    size = -(-len(points) // MAX_POINTS)
    if size <= 1:
        return points
    groups = [points[i : i + size] for i in range(0, len(points), size)]
    return [(g[len(g) // 2][0], sum(value for _, value in g) / len(g)) for g in groups]
