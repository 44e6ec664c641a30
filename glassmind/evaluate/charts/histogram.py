"""Histograms: how often a value falls into each of some equal ranges."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from glassmind.evaluate.charts.svg import Scale, element, frame, picture, ticks

_WIDTH, _HEIGHT = 400, 290
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 14, 12, 44


def histogram(
    values: Sequence[float],
    x_title: str,
    description: str,
    *,
    bins: int = 24,
    x_format: Callable[[float], str],
) -> str | None:
    """The shares of ``values`` in ``bins`` ranges between the smallest and the largest, as SVG;
    ``None`` without values."""
    if not values:
        return None
    low, high = min(values), max(values)
    if high - low < 1e-12:
        low, high = low - 0.5, high + 0.5
    counts = [0] * bins
    for value in values:
        counts[min(bins - 1, int((value - low) / (high - low) * bins))] += 1
    x = Scale(low, high, _LEFT, _WIDTH - _RIGHT)
    y = Scale(0, 1.05 * max(counts) / len(values), _HEIGHT - _BOTTOM, _TOP)
    side = (x.stop - x.start) / bins
    parts = [frame(x, y, ticks(low, high, 5), ticks(y.low, y.high), x_title, x_format, _percent)]
    for number, count in enumerate(counts):
        if count:
            share = count / len(values)
            ends = (low + (high - low) * place / bins for place in (number, number + 1))
            words = " to ".join(map(x_format, ends))
            parts.append(
                element(
                    "rect",
                    element("title", f"{words}: {_percent(share)}"),
                    x=x.start + side * number,
                    y=y(share),
                    width=side * 0.9,
                    height=y.start - y(share),
                    class_="cell",
                )
            )
    return picture(_WIDTH, _HEIGHT, "".join(parts), description)


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
