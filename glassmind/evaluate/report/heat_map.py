"""The report's picture of attention: how much one head attends from each token to the others."""

from __future__ import annotations

from glassmind.evaluate.charts.svg import element, label, picture
from glassmind.evaluate.run_files import Attention
from glassmind.quantity import quantity

MAX_TOKENS = 160
"""At most this many tokens are shown, the chain's first."""


def attention_map(attention: Attention) -> str:
    """Heat map: a row for each query token, a column for each key token."""
    names = [_readable(token) for token in attention.tokens[:MAX_TOKENS]]
    cell, margin = 13, 92
    # One path per shade instead of one rectangle per cell takes a twentieth of the size.
    shades: dict[int, list[str]] = {}
    for i, row in enumerate(attention.weights[: len(names)]):
        for j, weight in enumerate(row[: len(names)]):
            shade = min(10, round(10 * max(0.0, weight) ** 0.5))
            if shade:
                x, y = margin + cell * j, margin + cell * i
                shades.setdefault(shade, []).append(f"M{x} {y}h{cell}v{cell}h-{cell}z")
    size = margin + cell * len(names)
    side = cell * len(names)
    parts = [element("rect", x=margin, y=margin, width=side, height=side, class_="ground")]
    parts.extend(
        element("path", d="".join(cells), class_="heat", fill_opacity=shade / 10)
        for shade, cells in sorted(shades.items())
    )
    for i, name in enumerate(names):
        at = margin + cell * (i + 0.5) + 3.5
        kind = "special" if name.startswith("<|") else "token"
        parts.append(label(margin - 5, at, name, text_anchor="end", class_=kind))
        turned = f"rotate(-90 {at} {margin - 5})"
        parts.append(label(at, margin - 5, name, transform=turned, class_=kind))
    description = (
        f"Attention weights of layer {attention.layer}, head {attention.head}, "
        f"over {quantity(len(names), 'token')}: {' '.join(names)}"
    )
    svg = picture(size + 4, size + 4, "".join(parts), description)
    return svg.replace("<svg ", f'<svg width="{size + 4}" height="{size + 4}" ', 1)


def _readable(token: str) -> str:
    """A token's label: spaces and line ends made visible, long ones cut."""
    shown = token.replace(" ", "·").replace("\n", "⏎").replace("\t", "→") or "∅"
    return shown if len(shown) <= 13 else shown[:12] + "…"
