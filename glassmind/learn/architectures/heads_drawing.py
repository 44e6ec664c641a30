"""Where heads get their keys and values from, and which of them are cached."""

from __future__ import annotations

from glassmind.evaluate.charts.svg import element, label
from glassmind.learn.architectures.drawing import box, caption, drawing, models_with
from glassmind.learn.architectures.published import MODELS
from glassmind.model import PRESETS, ModelConfig

_HEADS, _PITCH, _PANEL, _MARGIN = 8, 20, 186, 62
_QUERIES, _KEYS, _LATENT = 30, 92, 140  # y
_HEIGHT = 222


def heads_drawing() -> str:
    """Eight heads with keys and values of their own, shared by groups, by all, and unpacked."""
    panels = (
        (_shared(8), "own", "own keys and values", "n_kv_heads = 0"),
        (_shared(2), "grouped", "grouped", "n_kv_heads = 2 of 8"),
        (_shared(1), "one", "one for all", "n_kv_heads = 1"),
        (_unpacked(), "latent", "from a latent", "latent.kv_rank = 512"),
    )
    parts = [
        label(_MARGIN - 8, y + 4, words, text_anchor="end")
        for y, words in ((_QUERIES, "queries"), (_KEYS, "keys,"), (_KEYS + 14, "values"))
    ]
    for number, (body, kind, name, setting) in enumerate(panels):
        users = [
            MODELS[preset].title for preset, config in PRESETS.items() if _kind(config) == kind
        ]
        body += caption(_PANEL / 2, 176, name, setting, models_with(users, 3))
        x = _MARGIN + number * _PANEL
        parts.append(element("g", body, transform=f"translate({x} 0)"))
    description = (
        "Eight query heads and the keys and values they attend to; filled boxes are cached. "
        "Own: eight of them. Grouped: two, each for four heads. One for all. From a latent: eight "
        "that are not cached but unpacked from a single short vector, which is."
    )
    return drawing(_MARGIN + len(panels) * _PANEL, _HEIGHT, "".join(parts), description)


def _kind(config: ModelConfig) -> str:
    if config.attention.latent.kv_rank:
        return "latent"
    if config.n_kv_heads == config.attention.n_heads:
        return "own"
    return "one" if config.n_kv_heads == 1 else "grouped"


def _places(number: int) -> list[float]:
    """The given number of places, spread evenly over the row of heads."""
    width = _HEADS * _PITCH
    left = (_PANEL - width) / 2
    return [left + (i + 0.5) * width / number for i in range(number)]


def _queries() -> str:
    return "".join(box(x, _QUERIES, 14, 18, "", "plain") for x in _places(_HEADS))


def _lines(upper: list[float], y_upper: float, lower: list[float], y_lower: float) -> str:
    """From each upper place to its share of the lower ones."""
    share = len(upper) // len(lower)
    return "".join(
        element("line", x1=x, y1=y_upper, x2=lower[i // share], y2=y_lower, class_="thin")
        for i, x in enumerate(upper)
    )


def _shared(number: int) -> str:
    keys = _places(number)
    lines = _lines(_places(_HEADS), _QUERIES + 9, keys, _KEYS - 11)
    return lines + _queries() + "".join(box(x, _KEYS, 16, 22, "", "marked") for x in keys)


def _unpacked() -> str:
    keys, latent = _places(_HEADS), _places(1)
    lines = _lines(keys, _QUERIES + 9, keys, _KEYS - 11) + _lines(keys, _KEYS + 11, latent, 132)
    unpacked = "".join(box(x, _KEYS, 16, 22, "", "hollow") for x in keys)
    return lines + _queries() + unpacked + box(latent[0], _LATENT, 54, 16, "", "marked")
