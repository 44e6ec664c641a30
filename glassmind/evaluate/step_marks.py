"""What is wrong with a step, in the words under which a report marks it.

A chain that has gone wrong stays wrong: no later step leads to the answer, however true its
equation is. To call each of them a wrong step would hide where the error is, so only the first is
called one, or what is false in itself; the others follow from it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from glassmind.grade.arithmetic import read_equations

Mark = Literal["", "false equation", "wrong step", "follows from an error"]


def step_mark(text: str, valid: bool | None, after_error: bool) -> Mark:
    """The mark of a step, empty where nothing is wrong. ``valid`` says whether the chain up to its
    end is right, ``None`` where that cannot be checked; ``after_error`` whether a step before it
    was marked."""
    if any(not equation.holds for equation in read_equations(text)):
        return "false equation"
    if valid is not False:
        return ""
    return "follows from an error" if after_error else "wrong step"


def step_marks(steps: Iterable[tuple[str, bool | None]]) -> list[Mark]:
    """The marks of a chain's steps, each given with whether the chain up to its end is right."""
    marks: list[Mark] = []
    for text, valid in steps:
        marks.append(step_mark(text, valid, after_error=any(marks)))
    return marks
