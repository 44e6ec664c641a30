"""Text from elsewhere, fit for a terminal.

A terminal obeys some of what it is sent: it moves the cursor, hides text, renames the window, and
some answer as if the user had typed. What a model writes, and the name of a file, a tensor or a
tool, may hold such sequences, and characters that turn the order of what follows. They are shown
as escapes (``\\x1b``), which nothing obeys.
"""

from __future__ import annotations

import re

# C0 but for tab and line feed, DEL and C1; marks and overrides of direction; what splits lines.
_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """``text`` with every character that a terminal obeys as an escape; lines and tabs stay."""
    return _OBEYED.sub(lambda found: ascii(found[0])[1:-1], text)


def printable_json(text: str) -> str:
    """A JSON text in which such characters are JSON's escapes: the same values."""
    return _OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
