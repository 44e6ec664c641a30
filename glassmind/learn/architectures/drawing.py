"""SVG files for pages in Markdown.

It includes its own colours, for light and dark mode, because the page has no style sheet for it.
The elements are those of the report's charts (``evaluate/charts/svg.py``).
"""

from __future__ import annotations

from html import escape

from glassmind.evaluate.charts.svg import element, label

SERIES = 6  # colours for lines, --c0 and on
_STYLE = """
svg { --paper: #ffffff; --ink: #1f2328; --soft: #5f6670; --rule: #d4d6d0; --plain: #eeeeea;
  --accent: #2f66b5; --accent-paper: #dbe7f8;
  --c0: #1f2328; --c1: #2f66b5; --c2: #cf3f5c; --c3: #17857b; --c4: #a06a3f; --c5: #8450b4; }
@media (prefers-color-scheme: dark) { svg { --paper: #15181c; --ink: #e4e6e9; --soft: #9aa2ad;
  --rule: #3a4149; --plain: #2a2f36; --accent: #7aa9ee; --accent-paper: #1f3350;
  --c0: #e4e6e9; --c1: #7aa9ee; --c2: #f4758f; --c3: #4fc4b8; --c4: #cf9a6c; --c5: #bb91e6; } }
text { font: 12px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; fill: var(--soft); }
text.name { fill: var(--ink); font-weight: 600; font-size: 13px; }
text.inside { fill: var(--ink); }
.paper { fill: var(--paper); }
.line { stroke: var(--ink); stroke-width: 1.6; fill: none; }
.thin { stroke: var(--soft); stroke-width: 1; fill: none; }
.plain { fill: var(--plain); stroke: var(--soft); }
.marked { fill: var(--accent-paper); stroke: var(--accent); stroke-width: 1.6; }
.hollow { fill: none; stroke: var(--soft); stroke-dasharray: 3 3; }
.seen { fill: var(--accent); }
.grid { stroke: var(--rule); }
.axis { stroke: var(--soft); }
.curve { stroke: var(--c); stroke-width: 2; stroke-linejoin: round; }
.dot { fill: var(--c); stroke: var(--paper); stroke-width: 1; }
text.series { fill: var(--c); font-weight: 600; }
"""


def drawing(width: int, height: int, body: str, description: str) -> str:
    """A complete SVG file; ``description`` is the text for screen readers."""
    inside = (
        element("title", escape(description))
        + element("style", _STYLE)
        + element("rect", width=width, height=height, class_="paper")
        + body
    )
    return (
        element(
            "svg",
            inside,
            xmlns="http://www.w3.org/2000/svg",
            width=width,
            height=height,
            viewBox=f"0 0 {width} {height}",
            role="img",
        )
        + "\n"
    )


def box(x: float, y: float, width: float, height: float, text: str, kind: str) -> str:
    """A box with its centre at (x, y); ``kind`` is a class: plain, marked or hollow."""
    frame = element(
        "rect",
        x=x - width / 2,
        y=y - height / 2,
        width=width,
        height=height,
        rx=4,
        class_=kind,
    )
    return frame + (label(x, y + 4, text, text_anchor="middle", class_="inside") if text else "")


def caption(x: float, y: float, name: str, *lines: str) -> str:
    """A name and some smaller lines below it, centred."""
    return label(x, y, name, text_anchor="middle", class_="name") + "".join(
        label(x, y + 17 * n, line, text_anchor="middle") for n, line in enumerate(lines, 1)
    )


def models_with(wanted: list[str], most: int) -> str:
    """Titles of models in one line: the first ``most``, and a mark if there are more."""
    return ", ".join(wanted[:most]) + (" …" if len(wanted) > most else "")
