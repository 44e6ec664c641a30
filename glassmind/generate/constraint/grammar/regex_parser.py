r"""Regular expressions, as far as they are regular: from a pattern to a tree.

    a  .  \.  \n \t \r \f \v  \x41 \u00e9 \U0001f600      characters
    [a-z_]  [^"\\]  \d \D \w \W \s \S                     sets
    (ab|cd)  (?:ab)  (?P<name>ab)  (?<name>ab)            groups; none is remembered
    *  +  ?  {3}  {3,}  {3,5}                             counts; ``*?`` means the same as ``*``
    ^  $                                                  at the ends of the pattern's alternatives

The pattern always has to match the whole text. Python's ``re`` and ECMAScript disagree on a few
things (``character_sets.py``); what is written here matches for both, or is refused. Refused with a
sentence: looking around, references to groups, flags, word borders, possessive counts, and whatever
the two read differently. None of it can be left out without changing what matches.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NoReturn

from glassmind.errors import UserError
from glassmind.generate.constraint.grammar.character_sets import (
    ALL,
    DOT,
    FuzzySet,
    Ranges,
    either,
    exactly,
    shorthand,
)
from glassmind.generate.constraint.grammar.tree import Characters, Either, Node, Repeat, Sequence

MAX_PATTERN = 10_000  # characters
MAX_GROUPS = 50  # inside one another
MAX_COUNT = 10_000

_COUNT = re.compile(r"\{([0-9]+)(,?)([0-9]*)\}")
_OPEN_COUNT = re.compile(r"\{,[0-9]*\}")
_CODE = re.compile(r"x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})")
_GROUP = re.compile(r"\?:|\?P?<[A-Za-z_][A-Za-z0-9_]*>")
_CONTROLS = {"n": 10, "t": 9, "r": 13, "f": 12, "v": 11}


def parse_regex(
    pattern: str, *, search: bool = False, character: Callable[[Ranges], Node] = Characters
) -> Node:
    """The language of ``pattern``.

    With ``search`` a match may stand anywhere in the text, as in JSON Schema, unless ``^`` and
    ``$`` hold it to the ends. ``character`` makes the node for one character of a set.

    Raises:
        UserError: the pattern is malformed, too long or nested too deeply, or uses what is refused.
    """
    if not isinstance(pattern, str):
        raise UserError(f"a pattern must be text, not {type(pattern).__name__}")
    if len(pattern) > MAX_PATTERN:
        raise UserError(
            f"the pattern has {len(pattern)} characters; at most {MAX_PATTERN} are read"
        )
    return _Parser(pattern, search, character).parse()


class _Parser:
    def __init__(self, pattern: str, search: bool, character: Callable[[Ranges], Node]) -> None:
        self.pattern, self.search, self.character = pattern, search, character
        self.at = self.depth = 0

    def parse(self) -> Node:
        tree = self.alternatives()
        if self.at < len(self.pattern):
            self.wrong("the ) closes nothing")
        return tree

    def wrong(self, what: str) -> NoReturn:
        shown = self.pattern if len(self.pattern) <= 60 else self.pattern[:60] + "…"
        raise UserError(f"the pattern {shown!r} cannot be used: at character {self.at + 1}, {what}")

    def next_is(self, text: str) -> bool:
        return self.pattern.startswith(text, self.at)

    def take(self, text: str) -> bool:
        """Step over ``text`` if it comes next."""
        if not self.next_is(text):
            return False
        self.at += len(text)
        return True

    def alternatives(self) -> Node:
        parts = [self.sequence()]
        while self.take("|"):
            parts.append(self.sequence())
        return parts[0] if len(parts) == 1 else Either(tuple(parts))

    def sequence(self) -> Node:
        """Up to the next ``|`` or ``)``, or the end."""
        outermost = self.depth == 0
        anything = Repeat(self.character(ALL), 0, None)
        parts: list[Node] = []
        begins = outermost and self.take("^")
        if outermost and self.search and not begins:
            parts.append(anything)
        ends = False
        while self.at < len(self.pattern) and self.pattern[self.at] not in "|)":
            if outermost and self.take("$"):
                ends = True
                if self.at < len(self.pattern) and self.pattern[self.at] != "|":
                    self.wrong("$ has a meaning only at the end of the pattern")
                break
            parts.append(self.counted())
        if outermost and self.search and not ends:
            parts.append(anything)
        return parts[0] if len(parts) == 1 else Sequence(tuple(parts))

    def counted(self) -> Node:
        """An atom and how often."""
        node = self.atom()
        count = self.count()
        if count is None:
            return node
        self.take("?")  # prefers short matches: the same texts match
        if self.next_is("+"):
            self.wrong("possessive counts are not supported")
        again = self.at
        if self.count() is not None:
            self.at = again
            self.wrong("there is a second count; put the first into a group")
        return Repeat(node, *count)

    def count(self) -> tuple[int, int | None] | None:
        for sign, count in (("*", (0, None)), ("+", (1, None)), ("?", (0, 1))):
            if self.take(sign):
                return count
        if _OPEN_COUNT.match(self.pattern, self.at):
            self.wrong("write {0,n} for {,n}, which not everybody reads as a count")
        match = _COUNT.match(self.pattern, self.at)
        if match is None:
            return None
        if max(map(len, match.groups())) > 9:
            self.wrong(f"the count is larger than {MAX_COUNT}")
        least = int(match[1])
        most = int(match[3]) if match[3] else None if match[2] else least
        if max(least, most or 0) > MAX_COUNT:
            self.wrong(f"the count is larger than {MAX_COUNT}")
        if most is not None and most < least:
            self.wrong("the larger count stands first")
        self.at = match.end()
        return least, most

    def atom(self) -> Node:
        sign = self.pattern[self.at]
        if sign in "*+?":
            self.wrong(f"there is nothing that {sign} could repeat")
        if sign in "^$":
            self.wrong(f"{sign} has a meaning only at the ends of the pattern")
        if sign == "{" and _COUNT.match(self.pattern, self.at):
            self.wrong("there is nothing that the count could repeat")
        if sign == "(":
            return self.group()
        if sign == "[":
            return self.character(self.bracketed().surely)
        self.at += 1
        if sign == ".":
            return self.character(DOT)
        if sign == "\\":
            return self.character(self.escaped().surely)
        return self.character(exactly([(ord(sign), ord(sign))]).surely)

    def group(self) -> Node:
        self.at += 1
        if self.next_is("?"):
            match = _GROUP.match(self.pattern, self.at)
            if match is None:
                self.wrong(
                    "of the groups that begin with (?, only (?: and named ones are supported"
                )
            self.at = match.end()
        self.depth += 1
        if self.depth > MAX_GROUPS:
            self.wrong(f"groups are nested more than {MAX_GROUPS} deep")
        node = self.alternatives()
        if not self.take(")"):
            self.wrong("a ) is missing")
        self.depth -= 1
        return node

    def bracketed(self) -> FuzzySet:
        """A set in square brackets."""
        self.at += 1
        negated = self.take("^")
        sets: list[FuzzySet] = []
        if self.next_is("]"):
            self.wrong(r"write \] for a ] that begins a set")
        while not self.take("]"):
            low = self.member()
            if self.next_is("-") and not self.next_is("-]"):
                self.at += 1
                high = self.member()
                first, last = _only(low), _only(high)
                if first is None or last is None or last < first:
                    self.wrong("this is not a range of characters")
                low = exactly([(first, last)])
            sets.append(low)
        found = either(sets)
        return found.negated() if negated else found

    def member(self) -> FuzzySet:
        """One character or shorthand inside brackets."""
        if self.at >= len(self.pattern):
            self.wrong("a ] is missing")
        sign = self.pattern[self.at]
        self.at += 1
        return self.escaped() if sign == "\\" else exactly([(ord(sign), ord(sign))])

    def escaped(self) -> FuzzySet:
        r"""What stands after a ``\``."""
        if self.at >= len(self.pattern):
            self.wrong("the pattern ends with a \\")
        sign = self.pattern[self.at]
        if (code := _CODE.match(self.pattern, self.at)) is not None:
            self.at = code.end()
            point = int(code[code.lastindex or 0], 16)
            if point > 0x10FFFF:
                self.wrong("there is no such character")
            return exactly([(point, point)])
        if sign in "dDwWsS":
            self.at += 1
            return shorthand(sign)
        if sign in _CONTROLS:
            self.at += 1
            return exactly([(_CONTROLS[sign], _CONTROLS[sign])])
        if sign.isalnum():
            self.wrong(f"\\{sign} is not supported")
        self.at += 1
        return exactly([(ord(sign), ord(sign))])


def _only(found: FuzzySet) -> int | None:
    """The single character of a set, if it is one."""
    if len(found.perhaps) != 1 or found.perhaps[0][0] != found.perhaps[0][1]:
        return None
    return found.perhaps[0][0]
