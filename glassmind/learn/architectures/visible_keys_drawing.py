"""What a token sees: the masks of ``model/masks.py``, evaluated and drawn."""

from __future__ import annotations

import torch
from torch import Tensor

from glassmind.evaluate.charts.svg import element
from glassmind.learn.architectures.drawing import caption, drawing
from glassmind.model import causal, sliding_window

_TOKENS, _CELL, _GAP = 14, 10, 40
_SIDE = _TOKENS * _CELL
_WINDOW, _LAYERS = 4, 3
_SLOPE = 0.25


def visible_keys_drawing() -> str:
    """Four squares (a row for each query token, a column for each key token), as an SVG file."""
    place = torch.arange(_TOKENS)
    everything = causal.dense(1, _TOKENS)[0].float()
    near = sliding_window(_WINDOW).dense(1, _TOKENS)[0].float()
    # How much is left of a weight when its score is lowered by the distance.
    fading = everything * torch.exp(-_SLOPE * (place[:, None] - place).abs())
    reached = (torch.linalg.matrix_power(near, _LAYERS) > 0).float()
    squares = (
        (everything, "causal", "all that came before"),
        (fading, "ALiBi", f"fainter with distance, slope {_SLOPE:g}"),
        (near, f"a window of {_WINDOW}", f"itself and {_WINDOW - 1} before it"),
        (reached, f"{_LAYERS} such layers", "how far information travels"),
    )
    panels = []
    for number, (strength, name, words) in enumerate(squares):
        body = _square(strength) + caption(_SIDE / 2, _SIDE + 22, name, words)
        x = _GAP / 2 + number * (_SIDE + _GAP)
        panels.append(element("g", body, transform=f"translate({x:g} 12)"))
    description = (
        "Which tokens see which: a row for each query token and a column for each key token. "
        "causal: the triangle of everything before. ALiBi: the same triangle, fading away from its "
        "diagonal. A window: only a band along the diagonal. Several layers with windows: a wider "
        "band."
    )
    return drawing(len(squares) * (_SIDE + _GAP), _SIDE + 64, "".join(panels), description)


def _square(strength: Tensor) -> str:
    """The squares of visible cells, one path per strength."""
    paths: dict[float, str] = {}
    for row, values in enumerate(strength.tolist()):
        for column, value in enumerate(values):
            if value > 0:
                cell = f"M{column * _CELL} {row * _CELL}h9v9h-9z"
                paths[value] = paths.get(value, "") + cell
    cells = (
        element("path", d=path, class_="seen", opacity=max(0.06, value))
        for value, path in paths.items()
    )
    frame = element("rect", x=-2, y=-2, width=_SIDE + 3, height=_SIDE + 3, class_="hollow")
    return frame + "".join(cells)
