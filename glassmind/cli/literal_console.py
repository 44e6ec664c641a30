"""rich's console, for text that nobody vouches for."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.segment import Segment

from glassmind.printable import printable


class LiteralConsole(Console):
    """Writes characters that a terminal would obey as escapes; its own styles still work.

    Everything comes together in ``_render_buffer``: what is printed, in tables and panels and by
    live displays, as pieces of text with a style, and cursor moves marked as such.
    """

    def _render_buffer(self, buffer: Iterable[Segment]) -> str:
        return super()._render_buffer(
            piece if piece.control else piece._replace(text=printable(piece.text))
            for piece in buffer
        )
