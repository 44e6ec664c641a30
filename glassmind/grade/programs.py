"""Reading a chain of thought, or a reply in free text, as a program of plain arithmetic.

Language models set up calculations well and evaluate them poorly. Program-aided language models
(Gao et al. 2022, arXiv 2211.10435) write the calculation, and an interpreter evaluates it. Ours has
no ``eval`` and no loops: numbers, names, ``+ - * /``, parentheses and assignments, all exact and
bounded in length, steps and size.

A chain is a program already, since every step is an equation. ``recomputed`` evaluates them in
order. A step takes over results of earlier ones, and an operand that equals an earlier result *as
written* is that result, so a correction is carried on:

    as written      pencils: 3*12=35     left: 35-6=29
    recomputed      pencils: 3*12=36     left: 36-6=30

``run_program`` reads a reply with assignments, ``pencils = 3*12`` and ``answer = pencils - 6``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from glassmind.grade.arithmetic import MAX_TEXT, evaluate, read_equation
from glassmind.grade.numbers import canonical, parse_number

MAX_STEPS = 200
"""At most so many steps, or assignments, are read; later ones are ignored."""

MAX_DIGITS = 60
"""A value whose numerator or denominator has more digits is not computed with."""

RESULT = "answer"
"""The name whose value is a program's result; without it, the last assignment's."""

_EQUATION = re.compile(r"([0-9.,()+\-*/x×÷−–$% ]*[0-9)%]) *= *\$?((?:[0-9][0-9,]*)?\.?[0-9]+%?)")
_NUMBER = re.compile(r"(?<![0-9.])(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]+)?(?![0-9.%])")
_ASSIGNMENT = re.compile(
    r"\s*(?:[-*>]\s+|`)?([A-Za-z_][A-Za-z0-9_]{0,40})\s*=\s*([^=#]{1,400}?)\s*`?\s*(?:#.*)?"
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ARITHMETIC = re.compile(r"[0-9.,+\-*/() ]+")


@dataclass(frozen=True, slots=True)
class Recomputed:
    """A step as it should read: ``text``, the ``value`` of its equation, and the result that was
    ``claimed``. A step without an equation has neither and keeps its text."""

    text: str
    value: Fraction | None = None
    claimed: Fraction | None = None
    changed: bool = False


def recomputed(steps: Sequence[str]) -> list[Recomputed]:
    """Every step with its last equation evaluated from what the steps before it really give.

    A step whose equation cannot be read, or has no value, stays as it is.
    """
    found: list[Recomputed] = []
    written: dict[Fraction, Fraction] = {}  # a result as written -> as recomputed
    for text in steps[:MAX_STEPS]:
        step = _step(text, written)
        found.append(step)
        if step.value is not None and step.claimed is not None:
            written[step.claimed] = step.value
    return found + [Recomputed(text) for text in steps[MAX_STEPS:]]


def recomputed_answer(steps: Sequence[str], answer: str | None) -> str | None:
    """The answer of a chain whose steps are computed anew: the value of the last equation.

    If text without an equation follows, the equation must have claimed ``answer``; otherwise, and
    if there is no equation, the answer stays as it is.
    """
    found = recomputed(steps)
    computed = [step for step in found if step.value is not None]
    if not computed:
        return answer
    last = computed[-1]
    given = None if answer is None else parse_number(answer)
    if last.value is None or (last is not found[-1] and given != last.claimed):
        return answer
    return canonical(last.value)


def run_program(text: str) -> str | None:
    """The result of the assignments in ``text``, one a line; ``None`` if there is none.

    Lines that are not assignments are skipped, as is one whose expression cannot be evaluated; a
    name it would have set is then unknown. The result is the value of ``answer``, or of the last
    assignment, in canonical form.
    """
    values: dict[str, Fraction] = {}
    last: str | None = None
    for line in text[:100_000].splitlines()[: 10 * MAX_STEPS]:
        assigned = _ASSIGNMENT.fullmatch(line) if len(line) <= MAX_TEXT else None
        if assigned is None or len(values) >= MAX_STEPS:
            continue
        name, value = assigned[1], _value(assigned[2], values)
        if value is None:
            values.pop(name, None)
            last = None
        else:
            values[name], last = value, name
    result = RESULT if RESULT in values else last
    return None if result is None else canonical(values[result])


def _step(text: str, written: dict[Fraction, Fraction]) -> Recomputed:
    """One step, computed from the results before it."""
    read = read_equation(text) if len(text) <= MAX_TEXT else None
    if read is None:
        return Recomputed(text)
    changes = {was: now for was, now in written.items() if was != now}
    if read.holds and read.operator and not changes:  # most steps
        return Recomputed(text, Fraction(read.result), Fraction(read.result))
    equations = list(_EQUATION.finditer(text))
    if not equations:
        return Recomputed(text)
    equation = equations[-1]
    claimed = parse_number(equation[2])
    left = _NUMBER.sub(lambda number: _carried(number[0], changes), equation[1])
    value = evaluate(left.strip().lstrip("x×+*/) "))
    if value is None or claimed is None or _size(value) > MAX_DIGITS:
        return Recomputed(text)
    if left == equation[1] and value == claimed:
        return Recomputed(text, value, claimed)
    said = f"{text[: equation.start(1)]}{left}={canonical(value)}{text[equation.end(2) :]}"
    return Recomputed(said, value, claimed, True)


def _carried(number: str, changes: dict[Fraction, Fraction]) -> str:
    """An operand, replaced if it is the wrong result of an earlier step."""
    now = changes.get(Fraction(number.replace(",", "")))
    if now is None:
        return number
    plain = canonical(now)
    return plain if now >= 0 and "/" not in plain else f"({plain})"


def _value(expression: str, values: dict[str, Fraction]) -> Fraction | None:
    """The value of an expression of numbers and known names."""
    names = set(_NAME.findall(expression))
    if not names <= values.keys() or "**" in expression or "//" in expression:
        return None
    if any(_size(values[name]) > 10 for name in names):  # the evaluator reads 12 digits
        return None
    plain = _NAME.sub(lambda name: f"({canonical(values[name[0]])})", expression)
    if not _ARITHMETIC.fullmatch(plain):
        return None
    value = evaluate(plain)
    return None if value is None or _size(value) > MAX_DIGITS else value


def _size(value: Fraction) -> int:
    return max(len(str(abs(value.numerator))), len(str(value.denominator)))
