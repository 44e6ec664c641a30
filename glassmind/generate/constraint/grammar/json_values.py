r"""JSON as languages: strings, numbers, arrays, objects.

Of the many spellings of one value these languages hold the ordinary ones, so that a model is not
led astray and the machine stays small: in strings only ``\" \\ \b \f \n \r \t`` are escaped and
every other control character is left out; a number has at most 18 digits before the point, so it
never overflows; a single space may stand after ``{ [ , :`` and before ``] }``.

JSON nests without end and a finite machine cannot, since it would have to remember which of its
brackets are open. ``any_value(depth)`` is JSON of bounded nesting; every level doubles it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache

from glassmind.generate.constraint.grammar.character_sets import ALL, Ranges, minus, utf8_paths
from glassmind.generate.constraint.grammar.network import Network
from glassmind.generate.constraint.grammar.regex_parser import parse_regex
from glassmind.generate.constraint.grammar.tree import (
    EMPTY,
    Characters,
    Either,
    Literal,
    Node,
    Repeat,
    Sequence,
    lay_paths,
)

MOST_DIGITS = 18
_ESCAPES = {0x22: '"', 0x5C: "\\", 8: "b", 9: "t", 10: "n", 12: "f", 13: "r"}
_NOT_PLAIN: Ranges = ((0, 31), (0x22, 0x22), (0x5C, 0x5C))


@dataclass(frozen=True)
class StringCharacter:
    """One character of a set, as it stands inside a JSON string."""

    ranges: Ranges

    def lay(self, net: Network, start: int, end: int) -> None:
        """As it is where JSON allows that, escaped where there is a letter for it."""
        lay_paths(net, utf8_paths(minus(self.ranges, _NOT_PLAIN)), start, end)
        letters = sum(
            1 << ord(letter)
            for point, letter in _ESCAPES.items()
            if any(low <= point <= high for low, high in self.ranges)
        )
        if letters:
            escape = net.state()
            net.edge(start, 1 << 0x5C, escape)
            net.edge(escape, letters, end)


ANY_CHARACTER = StringCharacter(ALL)
_SPACE = Repeat(Literal(b" "), 0, 1)
_QUOTE = Literal(b'"')
_DIGIT = Characters(((48, 57),))

BOOLEAN = Either((Literal(b"true"), Literal(b"false")))
NULL = Literal(b"null")
_NATURAL = rf"(0|[1-9][0-9]{{0,{MOST_DIGITS - 1}}})"
INTEGER = parse_regex("-?" + _NATURAL)
NATURAL_NUMBER = parse_regex(_NATURAL + r"(\.[0-9]{1,17})?([eE][+-]?[0-9]{1,2})?")
NUMBER = Sequence((Repeat(Literal(b"-"), 0, 1), NATURAL_NUMBER))


def string(content: Node) -> Node:
    """A string whose characters are ``content`` (of ``StringCharacter``)."""
    return Sequence((_QUOTE, content, _QUOTE))


def constant(value: object) -> Node:
    """One value in its ordinary spelling.

    Raises ``ValueError``, ``TypeError`` or ``RecursionError`` for what has none.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return Literal(text.encode("utf-8"))


def integer_between(low: int, high: int) -> Node:
    """The integers from ``low`` to ``high``, both of at most ``MOST_DIGITS`` digits."""
    parts: list[Node] = []
    if low < 0:
        magnitudes = _naturals(max(1, -high), -low)
        parts.append(Sequence((Literal(b"-"), *magnitudes)))
    if high >= 0:
        parts += _naturals(max(0, low), high)
    return Either(tuple(parts))


def _naturals(low: int, high: int) -> list[Node]:
    """``[low..high]`` as one node, cut where the number of digits grows."""
    parts = []
    for digits in range(len(str(low)), len(str(high)) + 1):
        first = max(low, 10 ** (digits - 1) if digits > 1 else 0)
        parts.append(_digits(str(first), str(min(high, 10**digits - 1))))
    return [Either(tuple(parts))]


def _digits(low: str, high: str) -> Node:
    """The numbers between two of equally many digits."""
    if not low:
        return EMPTY
    more = len(low) - 1
    if low == "0" * len(low) and high == "9" * len(high):
        return Repeat(_DIGIT, len(low), len(low))
    if low[0] == high[0]:
        return Sequence((Literal(low[0].encode()), _digits(low[1:], high[1:])))
    between = (ord(low[0]) + 1, ord(high[0]) - 1)
    parts: list[Node] = [
        Sequence((Literal(low[0].encode()), _digits(low[1:], "9" * more))),
        Sequence((Literal(high[0].encode()), _digits("0" * more, high[1:]))),
    ]
    if between[0] <= between[1]:
        parts.append(Sequence((Characters((between,)), Repeat(_DIGIT, more, more))))
    return Either(tuple(parts))


@dataclass(frozen=True)
class Listing:
    """``item , item , ...`` between brackets: an array, or an object with keys of any name."""

    brackets: bytes
    item: Node
    least: int = 0
    most: int | None = None

    def lay(self, net: Network, start: int, end: int) -> None:
        """A copy of the item for each one that is counted; without a limit the last is a loop."""
        closing = net.state()
        Sequence((_SPACE, Literal(self.brackets[1:]))).lay(net, closing, end)
        before = net.state()
        Literal(self.brackets[:1]).lay(net, start, before)
        if self.least == 0:
            net.skip(before, closing)
        for count in range(1, 1 + (max(self.least, 1) if self.most is None else self.most)):
            begin, after = net.state(), net.state()
            separator = _SPACE if count == 1 else _comma()
            separator.lay(net, before, begin)
            self.item.lay(net, begin, after)
            if count >= self.least:
                net.skip(after, closing)
            before = after
        if self.most is None:
            _comma().lay(net, before, begin)


@dataclass(frozen=True)
class Member:
    """A property of an object."""

    name: Node
    value: Node
    required: bool


@dataclass(frozen=True)
class Members:
    """An object with these properties, in this order; those not required may be missing."""

    members: tuple[Member, ...]

    def lay(self, net: Network, start: int, end: int) -> None:
        """Two tracks side by side: nothing has been written yet, or something has, and a comma is
        due. Both lead through the same copy of each member."""
        fresh, going = net.state(), net.state()
        Literal(b"{").lay(net, start, fresh)
        for member in self.members:
            begin, after, still_fresh = net.state(), net.state(), net.state()
            _SPACE.lay(net, fresh, begin)
            _comma().lay(net, going, begin)
            named(member.name, member.value).lay(net, begin, after)
            if not member.required:
                net.skip(fresh, still_fresh)
                net.skip(going, after)
            fresh, going = still_fresh, after
        closing = Sequence((_SPACE, Literal(b"}")))
        closing.lay(net, fresh, end)
        closing.lay(net, going, end)


def _comma() -> Node:
    return Sequence((Literal(b","), _SPACE))


def named(name: Node, value: Node) -> Node:
    """A key and its value."""
    return Sequence((name, Literal(b":"), _SPACE, value))


ANY_STRING = string(Repeat(ANY_CHARACTER, 0, None))


@cache
def any_value(depth: int) -> Node:
    """Any JSON value; arrays and objects in it are nested at most ``depth`` deep."""
    scalars = (ANY_STRING, NUMBER, BOOLEAN, NULL)
    if depth == 0:
        return Either(scalars)
    return Either((*scalars, Listing(b"[]", any_value(depth - 1)), any_object(depth)))


def any_object(depth: int) -> Node:
    """Any JSON object; arrays and objects are nested at most ``depth`` deep, itself included."""
    return Listing(b"{}", named(ANY_STRING, any_value(depth - 1)))
