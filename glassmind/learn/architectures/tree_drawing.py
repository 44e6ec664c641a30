"""The family tree of the presets: each model to the right of its predecessor."""

from __future__ import annotations

from glassmind.evaluate.charts.svg import element, label
from glassmind.learn.architectures.drawing import box, drawing
from glassmind.learn.architectures.published import MODELS

_COLUMN, _ROW = 118, 48
_BOX_WIDTH, _BOX_HEIGHT = 94, 36


def tree_drawing() -> str:
    """The tree as an SVG file, its root at the left."""
    places: dict[str, tuple[float, float]] = {}
    (root,) = _after(None)
    rows = _place(root, 0, 0, places)
    parts = []
    for name, (x, y) in places.items():
        after = MODELS[name].after
        if after is not None:
            right, from_y = places[after][0] + _BOX_WIDTH / 2, places[after][1]
            left = x - _BOX_WIDTH / 2
            middle = (left + right) / 2
            path = f"M{right:g} {from_y:g}C{middle:g} {from_y:g} {middle:g} {y:g} {left:g} {y:g}"
            parts.append(element("path", d=path, class_="thin"))
    for name, (x, y) in places.items():
        kind = "marked" if MODELS[name].paper is None else "plain"
        parts.append(box(x, y, _BOX_WIDTH, _BOX_HEIGHT, "", kind))
        parts.append(label(x, y - 2, MODELS[name].title, text_anchor="middle", class_="inside"))
        parts.append(label(x, y + 13, str(MODELS[name].year), text_anchor="middle"))
    columns = 1 + round(max(x for x, _ in places.values()) // _COLUMN)
    spoken = "; ".join(
        f"{model.title} after {MODELS[model.after].title}"
        for model in MODELS.values()
        if model.after is not None
    )
    return drawing(columns * _COLUMN, rows * _ROW, "".join(parts), f"A family tree: {spoken}.")


def _after(name: str | None) -> list[str]:
    return [each for each, model in MODELS.items() if model.after == name]


def _place(name: str, depth: int, row: int, places: dict[str, tuple[float, float]]) -> int:
    """Place ``name`` and its successors from ``row`` down; return the next free row.

    A model without successors has a row of its own; the others are centred on their successors.
    """
    free = row
    for each in _after(name):
        free = _place(each, depth + 1, free, places)
    free = max(free, row + 1)
    heights = [places[each][1] for each in _after(name)] or [(row + 0.5) * _ROW]
    places[name] = ((depth + 0.5) * _COLUMN, (heights[0] + heights[-1]) / 2)
    return free
