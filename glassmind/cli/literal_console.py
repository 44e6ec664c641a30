"""rich's console, for untrusted text."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.segment import Segment

from glassmind.printable import printable


class LiteralConsole(Console):
    """Writes control characters in text as escapes; its own styles still work.

    All output passes ``_render_buffer``: printed text, tables, panels and live displays arrive
    there as pieces of text with a style, and cursor moves are marked as such.
    """

    def _render_buffer(self, buffer: Iterable[Segment]) -> str:
        return super()._render_buffer(
            piece if piece.control else piece._replace(text=printable(piece.text))
            for piece in buffer
        )
