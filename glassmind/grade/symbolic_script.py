r"""The script of the worker process in which formulas are compared (see ``glassmind.worker``).

``latex2sympy2_extended``, the parser of Math-Verify, turns LaTeX into a ``sympy`` expression. Two
expressions are the same function if they agree everywhere; testing a few points is enough. If two
formulas differ, a random point is almost surely not one at which they agree (Schwartz 1980, "Fast
Probabilistic Algorithms for Verification of Polynomial Identities"), so formulas that agree to 40
digits at several random points are taken to be equal. This takes bounded time, while simplifying a
difference symbolically may take any amount, and it is symmetric. Formulas without variables need
one point only.

Decimals are exact fractions here: ``0.33x`` is not ``\frac{1}{3}x``.
"""

from __future__ import annotations

import random
from functools import lru_cache
from typing import Any, NamedTuple

import sympy  # type: ignore[import-untyped]
from latex2sympy2_extended.latex2sympy2 import latex2sympy  # type: ignore[import-untyped]

_DIGITS = 50
_POINTS = 8
_POSITIVE_POINTS = 4  # where most formulas have a value; the others tell x from |x|
_ENOUGH = 3  # points at which both formulas must have a value, or they are not compared
_TOLERANCE = sympy.Float(10) ** -40
_MAX_POWER = 10_000
_MAX_FACTORIAL = 2_000


# The parser builds its tables at first use, which takes longer than most formulas do later.
latex2sympy(r"\frac{x^{2}}{3} + \sqrt{2} \left(y - 1\right)")


class _Unreadable(Exception):
    """The text is not a formula, or too large a one."""


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Compares ``a`` and ``b``, two lists of one formula, or of a relation's two sides.

    ``kind`` is ``"formula"``, ``"="`` or ``"\\ne"`` (the same when one is a multiple of the other),
    ``"<"`` or ``"\\le"`` (a positive multiple). The answer is ``{"same": ...}``.
    """
    try:
        a, b = _profile(tuple(request["a"])), _profile(tuple(request["b"]))
        if request["kind"] == "formula":
            return {"same": _same(a, b)}
        return {"same": _proportional(a, b, positive=request["kind"] in ("<", "\\le"))}
    except MemoryError:
        raise  # the worker reports it, and is replaced
    except Exception:  # the parser and sympy raise all kinds of errors for invalid formulas
        return {"same": False}


class _Profile(NamedTuple):
    """An expression, and its values at the test points (None: it has no value there)."""

    expression: sympy.Expr
    values: list[sympy.Expr | None]


@lru_cache(maxsize=1024)
def _profile(sides: tuple[str, ...]) -> _Profile:
    """Of a formula, or of left side minus right side."""
    expressions = [_read(side) for side in sides]
    expression = expressions[0] if len(expressions) == 1 else expressions[0] - expressions[1]
    return _Profile(expression, [_value(expression, point) for point in range(_POINTS)])


def _read(text: str) -> sympy.Expr:
    parsed = latex2sympy(text, is_real=False, convert_degrees=False, normalization_config=None)
    if not isinstance(parsed, sympy.Expr):
        raise _Unreadable
    for node in sympy.postorder_traversal(parsed):
        _check_size(node)
    floats = {node: sympy.Rational(str(node)) for node in parsed.atoms(sympy.Float)}
    units = {symbol: sympy.I for symbol in parsed.free_symbols if symbol.name == "i"}
    return parsed.xreplace({**floats, **units}).doit()


def _check_size(node: sympy.Basic) -> None:
    """Refuse powers and factorials that would be numbers of many thousand digits."""
    if node in (sympy.zoo, sympy.nan):
        raise _Unreadable
    if isinstance(node, sympy.Pow) and node.exp.is_number and abs(node.exp.evalf(5)) > _MAX_POWER:
        raise _Unreadable
    sizes = (sympy.factorial, sympy.factorial2, sympy.binomial)
    if isinstance(node, sizes) and any(
        arg.is_number and abs(arg.evalf(5)) > _MAX_FACTORIAL for arg in node.args
    ):
        raise _Unreadable


def _coordinate(name: str, point: int) -> sympy.Rational:
    """The variable ``name`` at a point: positive at the first, negative at one, then of any sign.

    It depends on nothing else, so each formula is evaluated once, whatever it is compared with.
    """
    draw = random.Random(f"{name} {point}")
    size = sympy.Rational(draw.randint(1, 4000), 997)
    if point < _POSITIVE_POINTS:
        return size
    return -size if point == _POSITIVE_POINTS else size * draw.choice((1, -1))


def _value(expression: sympy.Expr, point: int) -> sympy.Expr | None:
    """The value of the expression at a point, or None if it has none there."""
    at = {symbol: _coordinate(symbol.name, point) for symbol in expression.free_symbols}
    value = expression.xreplace(at).evalf(_DIGITS, maxn=4 * _DIGITS)
    real, imaginary = value.as_real_imag()
    if not all(part.is_Float or part.is_Rational for part in (real, imaginary)):
        return None
    return real if abs(imaginary) <= _TOLERANCE * abs(real) else value


def _same(a: _Profile, b: _Profile) -> bool:
    if a.expression == b.expression:
        return True
    ends = {sympy.oo, -sympy.oo}
    if (a.expression.is_Rational and b.expression.is_Rational) or ends & {
        a.expression,
        b.expression,
    }:
        return False
    real = other = 0
    for x, y in zip(a.values, b.values, strict=True):
        if x is None and y is None:
            continue
        if x is None or y is None or x.is_real != y.is_real:
            return False
        close = bool(abs(x - y) <= _TOLERANCE * (abs(x) + abs(y)))
        if x.is_real and not close:
            return False
        # People often ignore the rules for roots of negative numbers, so complex values count only
        # if there are no real ones.
        real += bool(x.is_real)
        other += 1 if not x.is_real and close else 0
    if real < _ENOUGH and (real or other < _ENOUGH):
        return False
    if a.expression.free_symbols or b.expression.free_symbols:
        return True
    # Numbers without variables, which are not random, are compared to 1,000 digits.
    difference = (a.expression - b.expression).evalf(_DIGITS, maxn=1000)
    return bool(abs(difference) < sympy.Float(10) ** -900)


def _proportional(a: _Profile, b: _Profile, *, positive: bool) -> bool:
    """Whether ``a`` is a constant (positive) multiple of ``b``."""
    ratios: list[sympy.Expr] = []
    for x, y in zip(a.values, b.values, strict=True):
        if x is None or y is None or x == 0 or y == 0:
            if x != y:
                return False
            continue
        ratios.append(x / y)
    first = ratios[0] if len(ratios) >= _ENOUGH else None
    if first is None or not first.is_real or (positive and first < 0):
        return False
    return all(abs(ratio - first) <= _TOLERANCE * abs(first) for ratio in ratios)
