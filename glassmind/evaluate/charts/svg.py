"""SVG for charts in a page: elements, scales, ticks, an axis frame.

Charts are written as SVG rather than rendered by a plotting library so that the page's own style
sheet colours them. The same chart works in light and dark, its text is selectable and searchable
and can be read aloud, and it takes a few kilobytes. Coordinates are in user units of the
``viewBox``, y downwards.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape


def element(name: str, content: str = "", **attributes: str | float) -> str:
    """An SVG element; ``content`` is markup, attribute values are escaped.

    A trailing underscore in a name is dropped (``class_``), others become hyphens. Numbers are
    rounded to a hundredth of a unit, which makes no visible difference.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_plain(value), quote=True)}"'
        for key, value in attributes.items()
    )
    return f"<{name}{written}>{content}</{name}>" if content else f"<{name}{written}/>"


def label(x: float, y: float, text: str, **attributes: str | float) -> str:
    """A text element at a point, its text escaped."""
    return element("text", escape(text), x=x, y=y, **attributes)


def picture(width: float, height: float, body: str, description: str) -> str:
    """A whole chart; ``description`` is its text for screen readers."""
    return element(
        "svg",
        body,
        viewBox=f"0 0 {_plain(width)} {_plain(height)}",
        role="img",
        aria_label=description,
    )


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps numbers from ``low..high`` to positions ``start..stop``, evenly or by logarithm."""

    low: float
    high: float
    start: float
    stop: float
    logarithmic: bool = False

    def __call__(self, value: float) -> float:
        low, high = self.low, self.high
        if self.logarithmic:
            low, high, value = math.log(low), math.log(high), math.log(value)
        return self.start + (value - low) / (high - low) * (self.stop - self.start)


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """At most about ``most`` round numbers (steps of 1, 2 or 5 times ten^i) inside the range."""
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(step for m in (1, 2, 5, 10) if (step := m * power) >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    return [i * step for i in range(first, math.floor(high / step + 1e-9) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Round numbers for a logarithmic axis: 1, 2, 5 times powers of ten, or powers alone."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    fine = [m * 10.0**p for p in powers for m in (1, 2, 5)]
    inside = [value for value in fine if low <= value <= high]
    return inside if len(inside) <= 7 else [10.0**p for p in powers if low <= 10.0**p <= high]


def frame(
    x: Scale,
    y: Scale,
    x_ticks: Sequence[float],
    y_ticks: Sequence[float],
    x_title: str,
    x_format: Callable[[float], str],
    y_format: Callable[[float], str],
) -> str:
    """Horizontal grid lines, the base line, and both axes' labels."""
    parts = []
    for value in y_ticks:
        at = y(value)
        parts.append(element("line", x1=x.start, x2=x.stop, y1=at, y2=at, class_="grid"))
        parts.append(label(x.start - 7, at + 4, y_format(value), text_anchor="end"))
    parts.append(element("line", x1=x.start, x2=x.stop, y1=y.start, y2=y.start, class_="axis"))
    for value in x_ticks:
        at = x(value)
        parts.append(element("line", x1=at, x2=at, y1=y.start, y2=y.start + 4, class_="axis"))
        parts.append(label(at, y.start + 18, x_format(value), text_anchor="middle"))
    middle = (x.start + x.stop) / 2
    parts.append(label(middle, y.start + 36, x_title, text_anchor="middle", class_="title"))
    return "".join(parts)


def curve(points: Sequence[tuple[float, float]]) -> str:
    """A line through points, in the colour of its group."""
    path = "M" + "L".join(f"{_plain(x)} {_plain(y)}" for x, y in points)
    return element("path", d=path, fill="none", class_="curve")


def error_bar(x: float, low: float, high: float) -> str:
    """A vertical interval at ``x``, both ends capped."""
    path = f"M{_plain(x)} {_plain(low)}V{_plain(high)}"
    caps = "".join(f"M{_plain(x - 3)} {_plain(y)}h6" for y in (low, high))
    return element("path", d=path + caps, class_="error")


def dot(x: float, y: float, tooltip: str, radius: float = 4) -> str:
    """A marker with a tooltip."""
    return element("circle", element("title", escape(tooltip)), cx=x, cy=y, r=radius, class_="dot")


def _plain(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")
