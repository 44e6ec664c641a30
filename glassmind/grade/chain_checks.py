"""Checks of a chain of thought that do not need the right answer.

Some mistakes in a chain can be found without knowing the answer: an equation is false, the answer
is not the result of the last step, or a number of the question is never used. None of these proves
that the answer is wrong, and a chain that passes may still be wrong. But a reader should see them,
and they are good evidence of how far to trust an answer (``reason.confidence``).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from glassmind.grade.arithmetic import WrittenEquation, read_equations
from glassmind.grade.numbers import parse_number
from glassmind.grade.units import mixed_kinds

MAX_STEPS = 1_000
"""At most so many steps of a chain are read."""

_NUMBER = re.compile(r"[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?|[0-9]+(?:\.[0-9]+)?")


@dataclass(frozen=True)
class ChainChecks:
    """The findings about one chain.

    ``equations`` are those that can be read, by step. ``last_value`` is the result of the last
    step, as written; empty if that step has no equation. ``answer_differs`` says that the answer is
    a number other than ``last_value``. ``mixes`` names the two different kinds that some step adds
    or subtracts, such as money and things (``grade.units``).
    """

    equations: tuple[tuple[WrittenEquation, ...], ...]
    last_value: str = ""
    answer_differs: bool = False
    mixes: tuple[str, ...] = ()

    @cached_property
    def holds(self) -> tuple[bool | None, ...]:
        """For each step whether its equations hold; ``None`` if it has none that can be read."""
        return tuple(all(e.holds for e in found) if found else None for found in self.equations)

    @property
    def false_equations(self) -> tuple[str, ...]:
        """The equations that do not hold, as written, in order."""
        return tuple(e.text for found in self.equations for e in found if not e.holds)

    @property
    def sound(self) -> bool:
        """Whether nothing was found to be wrong."""
        return not self.false_equations and not self.answer_differs and not self.mixes

    def findings(self, answer: str | None) -> tuple[str, ...]:
        """What was found to be wrong, one sentence each."""
        said = [f"the equation {equation} is false" for equation in self.false_equations[:3]]
        if self.answer_differs:
            said.append(f"the answer {answer} is not the last step's result, {self.last_value}")
        if self.mixes:
            said.append(f"a step adds or subtracts {self.mixes[0]} and {self.mixes[1]}")
        return tuple(said)


def check_chain(steps: Sequence[str], answer: str | None, question: str = "") -> ChainChecks:
    """Check the equations of ``steps``, whether ``answer`` is their result, and whether the numbers
    of ``question`` that they add or subtract are of the same kind."""
    mixes = mixed_kinds(question, steps[:MAX_STEPS])
    equations = tuple(tuple(read_equations(step)) for step in steps[:MAX_STEPS])
    equations += ((),) * (len(steps) - len(equations))
    last = equations[-1] if equations else ()
    given = None if answer is None else parse_number(answer)
    if not last:
        return ChainChecks(equations, mixes=mixes)
    differs = given is not None and given not in (last[-1].result, 100 * last[-1].result)
    return ChainChecks(equations, last[-1].text.rpartition("=")[2].strip(), differs, mixes)


def unused_numbers(question: str, steps: Sequence[str]) -> tuple[str, ...]:
    """The numbers of ``question``, written in digits, that no step of a chain computes with.

    Each occurrence counts: of two sevens in the question, one may be unused. A number that is the
    result of an earlier step is taken to come from there.
    """
    left = Counter(_numbers(question))
    made: Counter[str] = Counter()
    for step in steps[:MAX_STEPS]:
        for number in _numbers(step.rpartition("=")[0] or step):
            if left[number]:
                left[number] -= 1
            elif made[number]:
                made[number] -= 1
        made.update(_numbers(step.rpartition("=")[2]))
    return tuple(number for number, count in left.items() for _ in range(count))


def _numbers(text: str) -> list[str]:
    return [found.replace(",", "") for found in _NUMBER.findall(text[:20_000])]
