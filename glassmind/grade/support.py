"""Do the numbers that a solution in free text computes with come from anywhere?

The rule is lenient, because a solution may state in words what it knows: supported are the numbers
of the question, in digits or words, those that the solution has written outside the left side of
an equation, the results of its equations, shares and complements of all these (``20%`` is also 0.2
and 80), and numbers that people know (``provenance``). A question about formulas is not judged: its
numbers are made by algebra.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction

from glassmind.grade.arithmetic import WrittenEquation
from glassmind.grade.provenance import KNOWN, digits_in, supported, words_in
from glassmind.grade.written_steps import MAX_STEP, plain_lines, step_equations

MAX_SOURCES = 2_000
"""After so many different numbers, all are taken to be supported."""

_FORMULA = re.compile(r"\\[a-z(\[]|\$[^$]{0,80}[a-z^][^$]{0,80}\$|\b[a-z] *[=^]|\b[a-z]\(", re.I)


def unsupported_numbers(
    question: str, steps: Sequence[str]
) -> list[tuple[tuple[WrittenEquation, Fraction], ...]]:
    """For each step its equations with a number that has no support, each with that number."""
    if _FORMULA.search(question):
        return [()] * len(steps)
    sources = {*digits_in(question), *words_in(question)}
    found = []
    for step in steps:
        equations = step_equations(step)
        sources |= words_in(step)
        sources.update(_stated(step, equations))
        here: list[tuple[WrittenEquation, Fraction]] = []
        for equation in equations:
            left = equation.text.rpartition("=")[0]
            for number in digits_in(left):
                if len(sources) <= MAX_SOURCES and not _known(number, sources):
                    here.append((equation, number))
            sources.update((equation.result, *digits_in(left)))  # said once, said for good
        found.append(tuple(here))
    return found


def _known(number: Fraction, sources: set[Fraction]) -> bool:
    return number in KNOWN or number in sources or supported(number, sources)


def _stated(step: str, equations: Sequence[WrittenEquation]) -> set[Fraction]:
    """The numbers that a step has in its text outside the left sides of its equations."""
    text = " \n ".join(plain_lines(step[:MAX_STEP]))
    for equation in equations:
        text = text.replace(equation.text.rpartition("=")[0], " ")
    return set(digits_in(text))
