r"""The arithmetic of a step in free text: GSM8K's annotations, LaTeX, or a plain line.

``48/2 = <<48/2=24>>24``, ``\(1/3 \times 18 = 6\)``, ``\[ \frac{18}{3} = 6 \]`` and ``18 / 3 = 6``
are read alike. ``arithmetic.read_equations`` finds the equations, and leaves out what may be part
of something longer; here the text is only rewritten for it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

from glassmind.grade.arithmetic import WrittenEquation, evaluate, read_equations
from glassmind.grade.numbers import canonical, parse_number

MAX_STEP = 20_000
"""Only so many characters of a step are read."""

MAX_LINES = 400
"""Only so many lines and sentences of a step are read."""

_ANNOTATION = re.compile(r"<<([^<>\n]{0,200})>>")
_TEXT = re.compile(r"\\(?:text|textbf|mathrm|mbox|textnormal)\s*\{[^{}]{0,200}\}")
_BOXED = re.compile(r"\\(?:boxed|fbox)\s*\{([^{}]{0,200})\}")
_FRACTION = re.compile(r"\\[dt]?frac\s*\{([^{}]{1,100})\}\s*\{([^{}]{1,100})\}")
_SIMPLE = re.compile(r"[0-9.,]+")
_ENDS = re.compile(r"\\[\[\]()]|\$\$|(?<=[^0-9.\s])\.\s|;|\n|\\\\|\\Rightarrow|\\implies|⇒|→|=>")
_SIGNS = (
    ("\\times", "*"), ("\\cdot", "*"), ("\\ast", "*"), ("\\div", "/"), ("\\left", ""),
    ("\\right", ""), ("\\$", "$"), ("\\%", "%"), ("{,}", ","), ("\\!", ""), ("\\,", " "),
    ("\\:", " "), ("\\;", " "), ("\\ ", " "), ("~", " "), ("\\quad", " "), ("·", "*"), ("**", ""),
    ("&", ""), ("€", "$"), ("£", "$"),
)  # fmt: skip
MAX_DECIMALS = 9
_CLAIM = re.compile(r" *[-$(]*[0-9.][-+*/x×÷−–() $0-9.,%]*")
# Behind a result: the rest of a mixed number, a power, a factorial, a product, a remainder.
_GOES_ON = re.compile(r" *(?:[\\^!_{\[]|\.\.\.|…|r\b|rem|mod\b|[a-zA-Z](?![a-zA-Z])|[0-9])", re.I)
_UNKNOWN = re.compile(r"x *[-+*/x)]|[0-9]x(?! ?[$(0-9])")  # x is an unknown here, not a sign
_ROUNDING = re.compile(
    r"\bround|\babout\b|approx|nearest|remain|whole|floor|ceil|quotient|\bmod|integer|up to", re.I
)
_APPROXIMATE = re.compile(r"\\approx|≈|\\sim|\\simeq")


def plain_lines(step: str) -> list[str]:
    """``step`` without markup, cut where an equation cannot go on: lines, sentences, formulas."""
    text = step[:MAX_STEP]
    noted = _ANNOTATION.findall(text)
    text = _ANNOTATION.sub("", text)
    text = _TEXT.sub("", text)
    for _ in range(2):  # a fraction in a fraction, a box around it
        text = _BOXED.sub(r"\1", text)
        text = _FRACTION.sub(_divided, text)
    pieces = [*_ENDS.split(text)[:MAX_LINES], *noted[:MAX_LINES]]
    lines = []
    for piece in pieces:
        for written, sign in _SIGNS:
            piece = piece.replace(written, sign)
        piece = _APPROXIMATE.split(piece)[0]
        lines.append(" ".join(piece.split()))
    return [line for line in lines if line]


def _divided(found: re.Match[str]) -> str:
    top, bottom = (
        part if _SIMPLE.fullmatch(part.strip()) else f"({part})" for part in found.groups()
    )
    return f"({top}/{bottom})"


def step_equations(step: str) -> list[WrittenEquation]:
    """Every equation of ``step`` that can be read without doubt, in order.

    In ``20 - (12 + 4) = 20 - 16 = 4`` each side is compared with the next. Left out are roundings
    that the step names as such, results with a remainder, and mixed numbers.
    """
    rounds = _ROUNDING.search(step[:MAX_STEP]) is not None
    found = []
    for line in plain_lines(step):
        sides = line.split("=")[:MAX_LINES]
        for left, right in pairwise(sides):
            equation = _equation(left, right)
            if equation is not None and not (rounds and _rounded(equation)):
                found.append(equation)
    return found


def _equation(left: str, right: str) -> WrittenEquation | None:
    """The equation between the end of ``left`` and the beginning of ``right``."""
    claimed = _CLAIM.match(right)
    if claimed is None or _GOES_ON.match(right, claimed.end()):
        return None
    side = claimed[0].lstrip(" ").rstrip(" ,.-+*/x×÷−–($")
    if _UNKNOWN.search(side):
        return None
    value = evaluate(side)
    if value is None:
        return None
    plain = parse_number(side)
    if plain is None:  # an expression: stand its value in its place
        equations = read_equations(f"{left}={_spelled(value)}")
    else:
        equations = read_equations(f"{left}={side.lstrip('$ ')}")
    if len(equations) != 1:
        return None
    equation = equations[0]
    text = f"{equation.text.rpartition('=')[0]}={side}"
    decimals = equation.decimals if plain is not None else MAX_DECIMALS
    if equation.value in (value, 100 * value) or (side.endswith("%") and equation.value == value):
        return replace(equation, text=text, result=equation.value, decimals=decimals)
    if decimals and abs(equation.value - value) < Fraction(1, 10**decimals):  # cut, not rounded
        return replace(equation, text=text, result=equation.value, decimals=decimals)
    return replace(equation, text=text, result=value, decimals=decimals)


def _spelled(value: Fraction) -> str:
    return canonical(round(value, MAX_DECIMALS))


def _rounded(equation: WrittenEquation) -> bool:
    """Whether the result is a whole number next to the value."""
    return equation.result.denominator == 1 and abs(equation.value - equation.result) < 1


def split_steps(text: str) -> list[str]:
    """The steps of a solution as text: its paragraphs if it has several, otherwise its lines.

    A last line ``#### 72`` or ``Answer: 72`` belongs to the step before it.
    """
    parts = [part.strip() for part in re.split(r"\n\s*\n", text.strip()) if part.strip()]
    if len(parts) < 2:
        parts = [line.strip() for line in text.splitlines() if line.strip()]
    return _with_answer(parts)


def _with_answer(parts: Sequence[str]) -> list[str]:
    if len(parts) > 1 and re.match(r"####|answer\s*[:=]", parts[-1], re.IGNORECASE):
        return [*parts[:-2], f"{parts[-2]}\n{parts[-1]}"]
    return list(parts)
