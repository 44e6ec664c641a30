"""Evaluates expressions and checks equations: exactly, in bounded time, without ``eval``.

The grammar is the one grade-school solutions use: non-negative decimals (``3``, ``.5``,
``1,800``, ``20%``), ``+ - * /`` (also written ``x``, ``×``, ``÷`` or as a dash), parentheses,
and ``=`` before the result. Numbers are exact fractions, so ``6*0.5=3`` and ``1/4*8=2`` hold and
``0.33*6=2`` does not. Of several equations in a line the last counts; text beyond the limits below
is not read as an equation.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

MAX_TEXT = 400
"""Only this many characters at the end of a line are read."""

MAX_DIGITS = 12
"""A number with more digits is not read."""

MAX_DEPTH = 20
"""An expression with more parentheses, or signs, inside one another is not read."""

_EXPRESSION = frozenset("0123456789.,+-*/x×÷−–() $%")
_BINARY = re.compile(r"\$?([0-9]{1,12}) *([+\-*/x×÷−–]) *\$?([0-9]{1,12})")
_RESULT = re.compile(
    r" *\$?((?:[0-9][0-9,]*)?\.?[0-9]+)(%?)(?![0-9.,]*[0-9])(?! ?[+*/=×÷] ?[0-9(])"
)
_TOKEN = re.compile(r"[ $]*(?:([0-9][0-9,]*\.?[0-9]*|\.[0-9]+)(%?)|([+\-*/x×÷−–()]))[ $]*")
_SAME = {"x": "*", "×": "*", "÷": "/", "−": "-", "–": "-"}
_LEVELS = ("+-", "*/")


@dataclass(frozen=True, slots=True)
class Equation:
    """An equation: whether it ``holds``, and its parts where it is ``a op b=c``.

    ``operator`` is empty and the three numbers are 0 if the equation is not a single binary
    operation on non-negative integers with an integer result.
    """

    holds: bool
    operator: str = ""
    left: int = 0
    right: int = 0
    result: int = 0


@dataclass(frozen=True, slots=True)
class WrittenEquation:
    """``text`` as written, the exact ``value`` of its left side, and the ``result`` it claims.

    ``decimals`` counts the digits after the result's decimal point.
    """

    text: str
    value: Fraction
    result: Fraction
    decimals: int

    @property
    def holds(self) -> bool:
        """Whether the result is the value, to as many decimals as are written: ``10/3=3.33``
        holds, ``14/6=2`` does not."""
        if self.decimals == 0:
            return self.value == self.result
        return abs(self.value - self.result) * 2 * 10**self.decimals <= 1


def read_equation(text: str) -> Equation | None:
    """The last equation in ``text``, or ``None`` if there is none that can be read."""
    text = text[-MAX_TEXT:]
    equals = text.rfind("=")
    if equals < 0:
        return None
    start = equals
    while start and text[start - 1] in _EXPRESSION:
        start -= 1
    written = text[start:equals].strip(" ")
    found = _RESULT.match(text, equals + 1)
    if found is None:
        return None
    result = _number(found[1], found[2])
    if result is None:
        return None
    plain = _BINARY.fullmatch(written)
    if plain is not None and result.denominator == 1:
        a, operator, b = int(plain[1]), _SAME.get(plain[2], plain[2]), int(plain[3])
        c = result.numerator
        return Equation(_holds(a, operator, b, c), operator, a, b, c)
    value = _Reader(written.lstrip("x×+*/) ")).value()  # without the end of a word before it
    return None if value is None else Equation(value == result)


# A line of text may have this before an equation: a bullet, a list number, bold type.
_LIST_MARK = re.compile(r" *(?:[-*\u2022]+ +|[0-9]{1,3}[.)] +|\*\*)")
_OPERATOR = re.compile(r"[0-9)%] *[+\-*/x\u00d7\u00f7\u2212\u2013] *[$(0-9.]")
# Words after which an expression is only the end of a longer one: half of 3*4 = 6, y - 3 = 4.
_CONTINUES = re.compile(r"\b(?:of|times|plus|minus|by|over|than|[b-hj-z])$", re.IGNORECASE)
_MAY_STAND_BEFORE = " \t:;,.!?'\"`<>\u2192=*"
_REMAINDER = re.compile(r" *(?:r|rem|remainder)\b", re.I)


def read_equations(line: str) -> list[WrittenEquation]:
    """Every unambiguous equation in ``line``, from left to right.

    ``read_equation`` finds the equation of a step in our own format. This function is for free
    text: anything that may be part of a longer expression (``half of 3*4=6``, ``y+3=7``,
    ``14/6=2 remainder 2``) is left out rather than misread.
    """
    line = line[-MAX_TEXT:]
    mark = _LIST_MARK.match(line)
    if mark is not None:
        line = line[mark.end() :]
    found = []
    begin = 0
    while (equals := line.find("=", begin)) >= 0:
        written = _left_side(line, begin, equals)
        begin = equals + 1
        result = _RESULT.match(line, equals + 1)
        if written is None or result is None or _REMAINDER.match(line, result.end()):
            continue
        value, claimed = _Reader(written).value(), _number(result[1], result[2])
        if value is not None and claimed is not None:
            text = f"{written}={line[equals + 1 : result.end()].strip(' ')}"
            decimals = len(result[1].partition(".")[2]) + 2 * bool(result[2])
            found.append(WrittenEquation(text, value, claimed, decimals))
    return found


def _left_side(line: str, begin: int, equals: int) -> str | None:
    """The expression that ends at ``equals``, without spaces around it; ``None`` if there is none,
    or if it may be part of a longer one. ``begin`` is where the previous equation ended."""
    start = equals
    while start > begin and line[start - 1] in _EXPRESSION:
        start -= 1
    # "12, 12+5=18" and "36. 36-5=31": the first number belongs to the text before.
    for end in (", ", ". "):
        if (at := line.rfind(end, start, equals)) >= 0:
            start = at + len(end)
    written, before = line[start:equals], line[begin:start]
    if not _OPERATOR.search(written):
        return None
    glued = not written.startswith(" ") and before[-1:] not in _MAY_STAND_BEFORE
    return None if glued or _CONTINUES.search(before.rstrip()) else written.strip(" ")


def value_before_equals(line: str) -> Fraction | None:
    """The value of the expression that ends ``line``, the text before an ``=``.

    The expression is what ``read_equations`` would read as the left side. ``None`` if there is
    none, if more of it may lie before the last ``MAX_TEXT`` characters, or if it has a ``$`` or
    ``%``, with which a result can be written in more than one way.
    """
    cut = len(line) > MAX_TEXT
    line = line[-MAX_TEXT:]
    mark = None if cut else _LIST_MARK.match(line)
    if mark is not None:
        line = line[mark.end() :]
    if cut and all(character in _EXPRESSION for character in line):
        return None
    written = _left_side(line, line.rfind("=") + 1, len(line))
    if written is None or "$" in written or "%" in written:
        return None
    return _Reader(written).value()


def evaluate(expression: str) -> Fraction | None:
    """The exact value of ``expression``, or ``None`` if it cannot be read.

    Unlike in ``read_equation``, numbers and parentheses may have a sign: ``3*-2``, ``-(4+1)``,
    ``+5+3``.
    """
    return _Reader(expression, signed=True).value() if len(expression) <= MAX_TEXT else None


@dataclass(frozen=True, slots=True)
class Operation:
    """One step of an expression. For each operand, ``uses`` is the number of the earlier operation
    that it came from, ``None`` if it is a number that is written in the expression."""

    operator: str
    operands: tuple[Fraction, Fraction]
    uses: tuple[int | None, int | None]
    value: Fraction


def read_operations(expression: str) -> tuple[Operation, ...] | None:
    """The operations of ``expression`` in the order in which they are done, the last of them giving
    its value; ``None`` if it cannot be read. A number alone has no operations. The sign of a number
    or a parenthesis is not supported: it would be no binary operation."""
    if len(expression) > MAX_TEXT:
        return None
    reader, log = _Reader(expression), list[Operation]()
    if reader.tokens is None:
        return None
    reader.tokens = [t if isinstance(t, str) else _Traced(t, log) for t in reader.tokens]
    return None if reader.value() is None else tuple(log)


class _Traced(Fraction):
    """A number that writes down every operation that it takes part in."""

    log: list[Operation]
    step: int | None

    def __new__(cls, value: Fraction, log: list[Operation], step: int | None = None) -> _Traced:
        self = super().__new__(cls, value)
        self.log, self.step = log, step
        return self

    def _with(self, operator: str, other: Fraction, value: Fraction) -> _Traced:
        assert isinstance(other, _Traced)
        operands = Fraction(self), Fraction(other)
        self.log.append(Operation(operator, operands, (self.step, other.step), value))
        return _Traced(value, self.log, len(self.log) - 1)

    def __add__(self, other: Fraction) -> _Traced:  # type: ignore[override]
        return self._with("+", other, Fraction(self) + Fraction(other))

    def __sub__(self, other: Fraction) -> _Traced:  # type: ignore[override]
        return self._with("-", other, Fraction(self) - Fraction(other))

    def __mul__(self, other: Fraction) -> _Traced:  # type: ignore[override]
        return self._with("*", other, Fraction(self) * Fraction(other))

    def __truediv__(self, other: Fraction) -> _Traced:  # type: ignore[override]
        return self._with("/", other, Fraction(self) / Fraction(other))


def _holds(a: int, operator: str, b: int, c: int) -> bool:
    if operator == "+":
        return a + b == c
    if operator == "-":
        return a - b == c
    if operator == "*":
        return a * b == c
    return b > 0 and b * c == a


def _number(digits: str, percent: str) -> Fraction | None:
    digits = digits.replace(",", "")
    if len(digits) > MAX_DIGITS + 1 or not digits.strip("."):
        return None
    return Fraction(digits) / (100 if percent else 1)


class _Reader:
    """Recursive descent over at most ``MAX_TEXT`` characters; ``value`` is None on any error."""

    def __init__(self, text: str, *, signed: bool = False) -> None:
        self.signed = signed
        self.tokens: list[Fraction | str] | None = []
        at = 0
        while at < len(text):
            found = _TOKEN.match(text, at)
            number = _number(found[1], found[2]) if found and found[1] else None
            if found is None or (found[1] and number is None):
                self.tokens = None
                return
            self.tokens.append(_SAME.get(found[3], found[3]) if number is None else number)
            at = found.end()
        self.at = 0

    def value(self) -> Fraction | None:
        """The value of the whole expression."""
        if not self.tokens:
            return None
        try:
            value = self._level(0, depth=0)
        except (ValueError, ZeroDivisionError, IndexError):
            return None
        return value if self.at == len(self.tokens) else None

    def _level(self, level: int, depth: int) -> Fraction:
        assert self.tokens is not None
        if level == len(_LEVELS):
            return self._atom(depth)
        value = self._level(level + 1, depth)
        while self.at < len(self.tokens):
            operator = self.tokens[self.at]
            if not isinstance(operator, str) or operator not in _LEVELS[level]:
                break
            self.at += 1
            other = self._level(level + 1, depth)
            if operator == "+":
                value += other
            elif operator == "-":
                value -= other
            elif operator == "*":
                value *= other
            else:
                value /= other
        return value

    def _atom(self, depth: int) -> Fraction:
        assert self.tokens is not None
        token = self.tokens[self.at]
        self.at += 1
        if isinstance(token, Fraction):
            return token
        if self.signed and token in ("+", "-") and depth <= MAX_DEPTH:
            value = self._atom(depth + 1)
            return -value if token == "-" else value
        if token != "(" or depth > MAX_DEPTH:
            raise ValueError(token)
        value = self._level(0, depth + 1)
        if self.tokens[self.at] != ")":
            raise ValueError(token)
        self.at += 1
        return value
