r"""What kind of thing an answer is: a number, words, a list, an interval, a matrix, a formula.

``read_answer`` parses an answer into numbers, words and formulas, so that most comparisons need no
algebra: ``(0.5, 3]`` and ``\left(\frac12, 3\right]`` differ only in how a number is spelled, and a
solution set may be listed in any order.

==========================================  =====================================================
``15``, ``28\%``, ``15\text{ cm}``          ``Number``
``\text{Monday}``, ``even``, ``(B)``        ``Words``, compared as text; a choice is its letter
``2\sqrt{3}``, ``x^2+1``                    ``Formula``, compared by ``symbolic``
``(1,2)``, ``[0,\infty)``                   ``Group``: a tuple, or an interval, in that order
``\{1,2\}``, ``1, 2``, ``1 or 2``, ``\pm1`` ``Group`` in any order
``(1,2) \cup (3,4)``                        ``Union`` in any order
``\begin{pmatrix} 1 & 2 \end{pmatrix}``     ``Matrix``
``x = 15``, ``x \in [1,2]``, ``x > 3``      ``Named``: x is 15, the interval, ``(3,\infty)``
``x + y = 2``, ``x < y``                    ``Relation``
==========================================  =====================================================

An answer of more than ``MAX_ANSWER`` characters, or nested too deeply, is ``Words``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from glassmind.grade.arithmetic import evaluate
from glassmind.grade.numbers import WrittenNumber, parse_number, read_number
from glassmind.grade.typesetting import FUNCTIONS, compact, plain, unwrap

MAX_ANSWER = 1000
"""Longer answers are compared as text."""

MAX_PARTS = 64
"""A list, matrix or union of more parts is compared as text."""

_MAX_DEPTH = 6


@dataclass(frozen=True, slots=True)
class Number:
    """A plain number."""

    number: WrittenNumber


@dataclass(frozen=True, slots=True)
class Words:
    """Text in lower case with single spaces."""

    text: str


@dataclass(frozen=True, slots=True)
class Formula:
    """LaTeX as ``typesetting.compact`` writes it."""

    text: str


@dataclass(frozen=True, slots=True)
class Group:
    """Parts in brackets: ``"()"``, ``"[)"`` ...; ``"{}"`` for parts in any order."""

    brackets: str
    parts: tuple[Form, ...]


@dataclass(frozen=True, slots=True)
class Union:
    """Sets joined by ∪, in any order."""

    parts: tuple[Form, ...]


@dataclass(frozen=True, slots=True)
class Matrix:
    """Rows of entries."""

    rows: tuple[tuple[Form, ...], ...]


@dataclass(frozen=True, slots=True)
class Relation:
    """``left operator right`` with ``=``, ``<``, ``\\le`` or ``\\ne``; > has its sides swapped."""

    operator: RelationSign
    left: str
    right: str


@dataclass(frozen=True, slots=True)
class Named:
    """A name and its value."""

    name: str
    value: Form


RelationSign = Literal["=", "<", "\\le", "\\ne"]
Form = Number | Words | Formula | Group | Union | Matrix | Relation | Named

_OPENING = {"(": ")", "[": "]", "{": "}", "\\{": "\\}"}
_CLOSING = frozenset(_OPENING.values())
_TOKENS = re.compile(r"\\[A-Za-z]+|\\.|.", re.DOTALL)
_LIST_WORDS = re.compile(r"\s*,?\s*(?:\b(?:or|and)\b|\\(?:text|mbox) ?\{,? ?(?:or|and) ?\})\s*")
_TEXT = re.compile(
    r"\\(?:text|textbf|textnormal|mbox|mathrm|mathbf|textit|operatorname) ?\{([^{}]*)\}"
)
_TRAILING_UNIT = re.compile(
    r"(?<=[\w})!.])(?: ?\\(?:text|textnormal|mbox|mathrm) ?\{[^{}]*\}|(?<![A-Za-z]) [A-Za-z]{2,}\.?"
    r"(?: [A-Za-z]{2,}\.?){0,3})(?:\^\{?[23]\}?)?$"
)
_FIRST = re.compile(r"^(?:\\approx|about|approximately|exactly) ?")
_CHOICE = re.compile(r"\(?([A-Z])(?:[).:]+(?: .*)?)?", re.DOTALL)
_LETTERS = re.compile(r"[^\W\d_](?:[^\W\d_]|[ '.:]|(?<=[^\W\d_]{2})-(?=[^\W\d_]{2}))*")
_WORD = re.compile(r"(?<![\\A-Za-z])(?:[A-Za-z]{4,}|not|the|for|per|but|are|was|all)(?![A-Za-z])")
_NAME = re.compile(r"\\?[A-Za-z]+(?:_\{?\w+\}?)?'?(?:\([A-Za-z](?:,[A-Za-z])*\))?")
_NAMED_NUMBER = re.compile(r"([A-Za-z]+)\s*=\s*(.+)", re.DOTALL)
_VARIABLE = re.compile(r"[A-Za-z]|\\(?:alpha|beta|gamma|theta|phi|lambda|mu|omega)")
_MATRIX = re.compile(r"\\begin ?\{([bpvBV]?matrix|array)\}(?: ?\{[lcr| ]*\})?(.*)\\end ?\{\1\}")
_SYMBOL = re.compile(r"\\(?!infty|pi|frac|sqrt|cdot|times)[A-Za-z]+|(?<![\\A-Za-z])[A-Za-z]")
# each sign as the operator of a Relation, and whether the sides are swapped
_SIGNS: dict[str, tuple[RelationSign, bool]] = {
    "=": ("=", False), "\\ne": ("\\ne", False), "<": ("<", False), "\\le": ("\\le", False),
    ">": ("<", True), "\\ge": ("\\le", True),
}  # fmt: skip


@lru_cache(maxsize=4096)
def read_answer(text: str) -> Form:
    """``text`` as one of the forms above. Never raises; time is linear in its length."""
    if len(text) > MAX_ANSWER:
        return _words(text)
    return _read(text, 0)


def _read(text: str, depth: int) -> Form:
    text = unwrap(text)
    number = read_number(text)
    if number is not None:
        return Number(number)
    choice = _CHOICE.fullmatch(_TEXT.sub(r"\1", text))
    if choice is not None:
        return Words(choice[1].lower())
    if depth > _MAX_DEPTH:
        return _words(text)
    return _read_plain(_FIRST.sub("", plain(text)), depth)


def _read_plain(text: str, depth: int) -> Form:
    """``_read`` for text that is not a plain number, with its typesetting removed."""
    number = read_number(text)
    if number is not None:
        return Number(number)
    named = _NAMED_NUMBER.fullmatch(text)
    number = read_number(named[2]) if named else None
    if named and number is not None:  # x = 30,951 is not a list
        return Named(named[1], Number(number))
    matrix = _MATRIX.fullmatch(text)
    if matrix is not None and "\\begin" not in matrix[2]:
        return _matrix(matrix[2], depth) or Formula(compact(text))
    listed = _LIST_WORDS.sub(", ", text)
    parts = _split(listed, (",", ";"))
    if parts is None or len(parts) > MAX_PARTS:
        return _words(text)
    if len(parts) > 1:
        return Group("{}", tuple(_read(part, depth + 1) for part in parts if part.strip()))
    text = listed
    spelled = _TEXT.sub(r"\1", text)
    if _LETTERS.fullmatch(spelled):
        return _words(spelled)
    sets = _split(text, ("\\cup",)) or []
    if len(sets) > 1:
        return Union(tuple(_read(part, depth + 1) for part in sets))
    related = _relation(text, depth)
    if related is not None:
        return related
    group = _bracketed(text, depth)
    if group is not None:
        return group
    either = _plus_or_minus(text, depth)
    if either is not None:
        return either
    without_unit = _TRAILING_UNIT.sub("", text)
    if (
        without_unit != text
        and ":" not in text
        and not _LETTERS.fullmatch(_TEXT.sub(r"\1", without_unit))
    ):
        return _read(without_unit, depth + 1)
    if _TEXT.search(text) or _holds_words(text):
        return _words(spelled)
    formula = compact(text)
    # 101_2 and 101_3 are numbers in other bases, which the parser of formulas does not support
    return _words(formula) if re.search(r"[0-9]_", formula) else Formula(formula)


def _words(text: str) -> Words:
    return Words(" ".join(_TEXT.sub(r"\1", text).lower().split()))


def _holds_words(text: str) -> bool:
    """Whether ``text`` contains more than a formula: a word, or two adjacent numbers."""
    names = (found[0] for found in _WORD.finditer(text))
    return any(name not in FUNCTIONS for name in names) or bool(re.search(r"\d \d", text))


def _tokens_with_depth(text: str) -> Iterator[tuple[str, int, int]]:
    """(token, where it begins, how many brackets are open there); the last depth is the end's."""
    depth = 0
    for found in _TOKENS.finditer(text):
        token = found[0]
        depth -= token in _CLOSING
        yield token, found.start(), depth
        depth += token in _OPENING
    yield "", len(text), depth


def _split(text: str, separators: tuple[str, ...]) -> list[str] | None:
    """``text`` split at ``separators`` outside all brackets; None if brackets do not match."""
    parts: list[str] = []
    begin = 0
    for token, position, depth in _tokens_with_depth(text):
        if depth < 0 or (not token and depth):
            return None
        if depth == 0 and token in separators:
            parts.append(text[begin:position])
            begin = position + len(token)
    return [*parts, text[begin:]]


def _relation(text: str, depth: int) -> Form | None:
    """``x = 15``, ``1 < x \\le 2``, ``x + y = 2``; None if ``text`` has no relation sign."""
    sides: list[str] = []
    operators: list[str] = []
    begin = 0
    for token, position, open_brackets in _tokens_with_depth(text):
        if open_brackets == 0 and (token in _SIGNS or token == "\\in"):
            sides.append(text[begin:position].strip())
            operators.append(token)
            begin = position + len(token)
    sides.append(text[begin:].strip())
    if not operators or not all(sides):
        return None
    names = [compact(side) for side in sides]
    if set(operators) == {"="}:
        if _NAME.fullmatch(names[0]) and not _LETTERS.fullmatch(sides[-1]):
            return Named(names[0], _read(sides[-1], depth + 1))
        if not any(_SYMBOL.search(side) for side in sides[:-1]) and _may_hold(sides):
            return _read(sides[-1], depth + 1)  # 3*12 = 36
    if operators == ["\\in"] and _NAME.fullmatch(names[0]):
        return Named(names[0], _read(sides[1], depth + 1))
    if len(operators) == 1 and operators[0] != "\\in":
        interval = _ray(names, operators[0], depth)
        if interval is not None:
            return interval
        sign, is_turned = _SIGNS[operators[0]]
        left, right = reversed(names) if is_turned else names
        return Relation(sign, left, right)
    if len(operators) == 2 and "\\in" not in operators:
        return _between(names, operators, depth)
    return None


def _may_hold(sides: list[str]) -> bool:
    """False if a side is arithmetic with another value than the last side, as in 2 = 24."""
    stated = parse_number(sides[-1])
    values = [evaluate(side) for side in sides[:-1]]
    return stated is None or all(value is None or value == stated for value in values)


def _ray(names: list[str], operator: str, depth: int) -> Form | None:
    """``x > 3`` and ``3 < x`` as ``(3,\\infty)``; None for anything with more than one name."""
    left, right = names
    if operator not in ("<", ">", "\\le", "\\ge"):
        return None
    above = operator in (">", "\\ge")
    if _VARIABLE.fullmatch(right):
        left, right, above = right, left, not above
    if not _VARIABLE.fullmatch(left) or _SYMBOL.search(right):
        return None
    closed = operator in ("\\le", "\\ge")
    end = _read(right, depth + 1)
    if above:
        return Named(left, Group("[)" if closed else "()", (end, Formula("\\infty"))))
    return Named(left, Group("(]" if closed else "()", (Formula("-\\infty"), end)))


def _between(names: list[str], operators: list[str], depth: int) -> Form | None:
    """``1 < x \\le 2`` as ``(1,2]``."""
    low, name, high = names
    if all(_SIGNS[operator][1] for operator in operators):
        low, high = high, low
        operators = [_SIGNS[operator][0] for operator in reversed(operators)]
    if not _VARIABLE.fullmatch(name) or not {*operators} <= {"<", "\\le"}:
        return None
    if _SYMBOL.search(low) or _SYMBOL.search(high):
        return None
    brackets = ("(" if operators[0] == "<" else "[") + (")" if operators[1] == "<" else "]")
    return Named(name, Group(brackets, (_read(low, depth + 1), _read(high, depth + 1))))


def _bracketed(text: str, depth: int) -> Form | None:
    """Brackets such as ``(1, 2]``; None if the first bracket is not closed at the very end."""
    tokens = [(token, open_brackets) for token, _, open_brackets in _tokens_with_depth(text)][:-1]
    if len(tokens) < 2:
        return None
    opening, closing = tokens[0][0], tokens[-1][0]
    if opening not in _OPENING or closing not in _CLOSING:
        return None
    if any(open_brackets == 0 for _, open_brackets in tokens[1:-1]):
        return None
    inside = text[len(opening) : -len(closing)].strip()
    parts = _split(inside, (",", ";"))
    if not inside or parts is None or len(parts) > MAX_PARTS:
        return None
    is_set = "{" in opening
    if len(parts) == 1 and opening != "\\{":
        # (x+1) is x+1; brackets that do not match, as in (3], mean nothing
        return _read(inside, depth + 1) if _OPENING[opening] == closing else None
    if is_set != ("}" in closing):
        return None
    brackets = "{}" if is_set else opening + closing
    return Group(brackets, tuple(_read(part, depth + 1) for part in parts))


def _plus_or_minus(text: str, depth: int) -> Form | None:
    """``1 \\pm 2`` as both numbers."""
    if text.count("\\pm") != 1:
        return None
    before, after = text.split("\\pm")
    return Group("{}", tuple(_read(f"{before}{sign}{after}", depth + 1) for sign in "+-"))


def _matrix(inside: str, depth: int) -> Matrix | None:
    rows = [row for row in inside.split("\\\\") if row.strip()]
    if not rows or inside.count("&") + len(rows) > MAX_PARTS:
        return None
    return Matrix(tuple(tuple(_read(cell, depth + 1) for cell in row.split("&")) for row in rows))
