r"""Sets of characters, and how their members are written in UTF-8.

A set is a tuple of ranges of code points, ascending and apart: ``((48, 57),)`` are the digits. Lone
surrogates (U+D800 to U+DFFF) are in no set, since UTF-8 has no bytes for them.

What ``\d``, ``\w`` and ``\s`` mean depends on whom one asks: Python counts the digits and letters
of every script, ECMAScript (and with it JSON Schema) those of ASCII. A ``FuzzySet`` keeps both
answers, and in the end only what is in the set by *either* reading is allowed; whatever is written
under a constraint then matches for either reader.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache, lru_cache
from typing import NamedTuple

Ranges = tuple[tuple[int, int], ...]

_LAST = 0x10FFFF
ALL: Ranges = ((0, 0xD7FF), (0xE000, _LAST))


def union(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """The set of everything in any of ``ranges``, which may overlap."""
    merged: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = merged[-1][0], max(high, merged[-1][1])
        else:
            merged.append((low, high))
    return tuple(merged)


def complement(ranges: Ranges) -> Ranges:
    """Every character that is not in the set."""
    gaps, at = [], 0
    for low, high in union((*ranges, (0xD800, 0xDFFF))):
        if low > at:
            gaps.append((at, low - 1))
        at = high + 1
    if at <= _LAST:
        gaps.append((at, _LAST))
    return tuple(gaps)


def minus(ranges: Ranges, taken: Ranges) -> Ranges:
    """What is in the first set and not in the second; without surrogates."""
    return complement(union((*complement(ranges), *taken)))


class FuzzySet(NamedTuple):
    """A set on whose members two dialects disagree: ``surely`` for both, ``perhaps`` for one."""

    surely: Ranges
    perhaps: Ranges

    def negated(self) -> FuzzySet:
        """What is not in it: surely not is not even perhaps."""
        return FuzzySet(complement(self.perhaps), complement(self.surely))


def exactly(ranges: Iterable[tuple[int, int]]) -> FuzzySet:
    """A set that both dialects agree on."""
    agreed = minus(union(ranges), ())
    return FuzzySet(agreed, agreed)


def either(sets: Iterable[FuzzySet]) -> FuzzySet:
    """The union."""
    sets = list(sets)
    return FuzzySet(
        union(r for one in sets for r in one.surely), union(r for one in sets for r in one.perhaps)
    )


_SPACES = ((9, 13), (32, 32))
_ASCII: dict[str, Ranges] = {
    "d": ((48, 57),),
    "s": _SPACES,
    "w": ((48, 57), (65, 90), (95, 95), (97, 122)),
}


@cache
def shorthand(letter: str) -> FuzzySet:
    r"""The set of ``\d``, ``\w``, ``\s`` or, in capitals, of what is not in them."""
    if letter.isupper():
        return shorthand(letter.lower()).negated()
    everything = "".join(map(chr, range(_LAST + 1)))
    found = [(m.start(), m.end() - 1) for m in re.finditer(rf"\{letter}+", everything)]
    if letter == "s":
        found.append((0xFEFF, 0xFEFF))  # white space for ECMAScript only
    return FuzzySet(_ASCII[letter], minus(union(found), ()))


# Python's dot leaves out the line feed, that of ECMAScript all four line ends.
DOT = complement(((10, 10), (13, 13), (0x2028, 0x2029)))

Paths = tuple[tuple[int, "Paths | None"], ...]
"""Ways on: (a set of bytes as the bits of an integer, the ways on from there or ``None`` at the
end). Equal ends are equal tuples, so whoever builds a machine of them can share its states."""

# How the code points up to the first number are written: first byte's fixed bits, bytes to follow.
_LENGTHS = ((0x7F, 0x00, 0), (0x7FF, 0xC0, 1), (0xFFFF, 0xE0, 2), (_LAST, 0xF0, 3))


@lru_cache(maxsize=1024)
def utf8_paths(ranges: Ranges) -> Paths:
    """How the members of a set (without surrogates) are spelled in bytes."""
    paths: list[tuple[int, Paths | None]] = []
    first = 0
    for last, lead, more in _LENGTHS:
        inside = tuple((max(a, first), min(b, last)) for a, b in ranges if a <= last and b >= first)
        if inside:
            paths += _tails(inside, more, lead) or ()
        first = last + 1
    return tuple(paths)


@lru_cache(maxsize=4096)
def _tails(ranges: Ranges, more: int, lead: int) -> Paths | None:
    """The spelling of numbers as a byte with ``lead`` as fixed bits and ``more`` bytes of six bits
    each: numbers with the same beginning are cut into a block, equal blocks are joined."""
    size = 64**more
    blocks: dict[int, list[tuple[int, int]]] = {}
    for low, high in ranges:
        for block in range(low // size, high // size + 1):
            start = block * size
            part = max(low, start) - start, min(high, start + size - 1) - start
            blocks.setdefault(block, []).append(part)
    leads: dict[Paths | None, int] = {}
    for block, parts in blocks.items():
        rest = _tails(tuple(parts), more - 1, 0x80) if more else None
        leads[rest] = leads.get(rest, 0) | 1 << (lead | block)
    return tuple((bits, rest) for rest, bits in leads.items())
