"""Marks in text from outside, so that what a chat template wrote can be told from it.

A finished conversation is searched for special tokens, and only those that the template wrote must
be found. So each spelling of one in the messages is broken by a character that occurs nowhere else,
before the template sees it, and mended afterwards.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from glassmind.errors import UserError

# Egyptian hieroglyphs, then private use. A marker should be printable, because a template that
# prints a list gets Python's spelling of the strings in it, and that escapes what is not.
_RARE = (*range(0x13000, 0x13430), *range(0xE000, 0xF900), *range(0xF0000, 0xFFFFE))


class Marks:
    """Breaks the spellings ``special`` in strings, and mends them.

    ``used`` are all characters that occur where the marks are to be told apart; ``end`` is one more
    character that does not occur there, for the end of a message. A spelling of
    several characters gets a marker after its first; one that is a single character cannot be
    broken, and another takes its place.
    """

    def __init__(self, special: Iterable[str], used: set[str]) -> None:
        free = (chr(code) for code in _RARE if chr(code) not in used)
        rest_of: dict[str, set[str]] = {}
        singles: set[str] = set()
        for spelling in filter(None, special):
            if len(spelling) == 1:
                singles.add(spelling)
            else:
                rest_of.setdefault(spelling[0], set()).add(spelling[1:])
        try:
            self._marker, self.end = next(free), next(free)
            self._stand_in = {ord(single): next(free) for single in sorted(singles)}
        except StopIteration:
            raise UserError(
                "the conversation uses every hieroglyph and private character there is, which "
                "leaves none to mark special tokens with; remove some"
            ) from None
        # The look ahead finds spellings that overlap as well.
        begins = "|".join(
            f"{re.escape(first)}(?={'|'.join(map(re.escape, sorted(rests)))})"
            for first, rests in rest_of.items()
        )
        self._begins = re.compile(begins or "(?!)")
        self._mend: dict[int, int | None] = {
            ord(stand_in): single for single, stand_in in self._stand_in.items()
        }
        self._mend[ord(self._marker)] = None

    def put(self, value: Any) -> Any:
        """``value`` with all strings in it broken."""
        if isinstance(value, str):
            return self._begins.sub(rf"\g<0>{self._marker}", value).translate(self._stand_in)
        if isinstance(value, dict):
            return {self.put(key): self.put(element) for key, element in value.items()}
        return [self.put(element) for element in value] if isinstance(value, list) else value

    def remove(self, text: str) -> str:
        """``text`` as it was given."""
        return text.translate(self._mend)
