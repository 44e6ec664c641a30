"""Making untrusted text safe to print in a terminal.

A terminal interprets control sequences: they move the cursor, hide text, rename the window, and on
some terminals insert input as if the user had typed it. A model's text, or the name of a file, a
tensor or a tool, may hold such sequences, or characters that reverse the order of the following
text. They are printed as escapes (``\\x1b``), which the terminal does not interpret.
"""

from __future__ import annotations

import re

# C0 except tab and line feed, DEL and C1; direction marks and overrides; line separators.
_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """``text`` with every control character as an escape; line feeds and tabs stay."""
    return _OBEYED.sub(lambda found: ascii(found[0])[1:-1], text)


def printable_json(text: str) -> str:
    """A JSON text with these characters as JSON escapes, which stand for the same values."""
    return _OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
