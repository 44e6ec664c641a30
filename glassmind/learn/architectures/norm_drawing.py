"""The places of a norm: half a block in four forms, one for each ``norm_placement``."""

from __future__ import annotations

from glassmind.evaluate.charts.svg import element, label
from glassmind.learn.architectures.drawing import box, caption, drawing, models_with
from glassmind.learn.architectures.published import MODELS
from glassmind.model import PRESETS

_PANEL, _TOP, _BOTTOM = 180, 26, 230
_STREAM, _BRANCH = 46, 118  # x within a panel
_FORK, _JOIN = 206, 84  # y

# The boxes on the branch, from the fork up, and whether there is a norm on the residual stream.
_PLACES: dict[str, tuple[tuple[str, ...], bool]] = {
    "residual": (("attention",), True),
    "before": (("norm", "attention"), False),
    "after": (("attention", "norm"), False),
    "around": (("norm", "attention", "norm"), False),
}


def norm_drawing() -> str:
    """The four placements side by side, as an SVG file."""
    panels = []
    for number, (placement, (branch, on_stream)) in enumerate(_PLACES.items()):
        panels.append(
            element(
                "g",
                _panel(placement, branch, on_stream),
                transform=f"translate({number * _PANEL} 0)",
            )
        )
    description = (
        "Half a block in four forms. residual: the norm is on the sum, after the branch has "
        "joined. before: on the branch, before attention. after: on the branch, after attention. "
        "around: on the branch, on both sides."
    )
    return drawing(4 * _PANEL, _BOTTOM + 62, "".join(panels), description)


def _panel(placement: str, branch: tuple[str, ...], on_stream: bool) -> str:
    parts = [
        element("path", d=f"M{_STREAM} {_BOTTOM - 8}V{_TOP - 12}", class_="line"),
        element("path", d=f"M{_STREAM - 4} {_TOP - 5}l4 -8l4 8", class_="line"),
        element("path", d=f"M{_STREAM} {_FORK}H{_BRANCH}V{_JOIN}H{_STREAM + 9}", class_="line"),
        label(_STREAM - 10, _BOTTOM - 8, "x", text_anchor="end", class_="inside"),
        element("circle", cx=_STREAM, cy=_JOIN, r=9, class_="plain"),
        label(_STREAM, _JOIN + 5, "+", text_anchor="middle", class_="name"),
    ]
    step = (_FORK - _JOIN) / (len(branch) + 1)
    for number, name in enumerate(branch, 1):
        kind = "marked" if name == "norm" else "plain"
        parts.append(box(_BRANCH, _FORK - step * number, 74, 24, name, kind))
    if on_stream:
        parts.append(box(_STREAM, _TOP + 22, 62, 24, "norm", "marked"))
    users = [
        MODELS[name].title
        for name, config in PRESETS.items()
        if config.norm_placement == placement and name != "glassmind"
    ]
    parts.append(caption(_PANEL / 2, _BOTTOM + 20, placement, models_with(users, 3)))
    return "".join(parts)
