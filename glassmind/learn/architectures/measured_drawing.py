"""The loss of each position encoding beyond the length it was trained on."""

from __future__ import annotations

from glassmind.evaluate.charts.svg import Scale, curve, dot, element, frame, label, ticks
from glassmind.learn.architectures.drawing import SERIES, drawing
from glassmind.learn.architectures.measured import BASE, Measured, MeasuredArm
from glassmind.model import ModelConfig

_WIDTH, _HEIGHT = 560, 330
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 130, 34, 46
_LINE = 15  # units between two names at the right end
GROUP = "positions"
CEILING = 0.3  # bits above the base's worst; curves above that are cut off


def positions_drawing(measured: Measured) -> str:
    """Bits per byte in each quarter of the longest rows, one line per position encoding.

    An SVG file with the base and the arms of the group ``positions``.
    """
    arms = [arm for arm in measured.rows if arm.group == GROUP or arm.arm == BASE]
    quarters = len(arms[0].by_quarter)
    ceiling = CEILING + max(bits for arm in arms if arm.arm == BASE for bits in arm.by_quarter)
    bits = [value for arm in arms for value in arm.by_quarter if value < ceiling]
    x = Scale(0.5, quarters + 0.5, _LEFT, _WIDTH - _RIGHT)
    y = Scale(min(bits) - 0.05, max(bits) + 0.05, _HEIGHT - _BOTTOM, _TOP)
    trained, longest = measured.lengths[0], measured.lengths[-1]
    width = longest // quarters

    def stretch(quarter: float) -> str:
        return f"{int(quarter - 1) * width + 1} to {int(quarter) * width}"

    parts = [
        frame(
            x,
            y,
            range(1, quarters + 1),
            ticks(y.low, y.high),
            f"token of a row of {longest}",
            stretch,
            "{:.3g}".format,
        ),
        element(
            "clipPath",
            element("rect", x=0, y=_TOP, width=_WIDTH, height=_HEIGHT - _TOP),
            id="inside",
        ),
        label(_LEFT - 40, 16, "bits a byte, lower is better"),
    ]
    if trained == width:
        edge = x(1.5)
        parts.append(element("line", x1=edge, x2=edge, y1=_TOP, y2=y.start, class_="hollow"))
        parts.append(label(edge + 6, _TOP + 4, "never trained on →"))
    ranked = sorted(arms, key=lambda arm: y(arm.by_quarter[-1]))
    for number, (arm, at) in enumerate(zip(ranked, _apart(ranked, y), strict=True)):
        places = [(x(i), y(value)) for i, value in enumerate(arm.by_quarter, 1)]
        drawn = element("g", curve(places), clip_path="url(#inside)")
        for (across, down), value in zip(places, arm.by_quarter, strict=True):
            if down >= y.stop:
                drawn += dot(across, down, f"{_name(arm)}: {value:.3f}", 3)
        above = "" if places[-1][1] >= y.stop else " ↑"
        words = f"{_name(arm)} {arm.by_quarter[-1]:.2f}{above}"
        drawn += label(_WIDTH - _RIGHT - 26, at + 4, words, class_="series")
        parts.append(element("g", drawn, style=f"--c: var(--c{number % SERIES})"))
    spoken = "; ".join(
        f"{_name(arm)} " + ", ".join(f"{value:.2f}" for value in arm.by_quarter) for arm in arms
    )
    description = (
        f"Bits a byte in the {quarters} quarters of rows of {longest} tokens, after training on "
        f"rows of {trained}: {spoken}."
    )
    return drawing(_WIDTH, _HEIGHT, "".join(parts), description)


def _name(arm: MeasuredArm) -> str:
    return f"{ModelConfig().positions.kind}, the base" if arm.arm == BASE else arm.arm


def _apart(arms: list[MeasuredArm], y: Scale) -> list[float]:
    """The places of the labels: next to the last point, moved apart where they would overlap.

    ``arms`` come from the top down; a label that would leave the frame at the bottom moves the
    others up.
    """
    places: list[float] = []
    for arm in arms:
        beside = max(y(arm.by_quarter[-1]), y.stop)
        places.append(max(beside, places[-1] + _LINE) if places else beside)
    limit = y.start - 6
    for i in reversed(range(len(places))):
        places[i] = min(places[i], limit)
        limit = places[i] - _LINE
    return places
