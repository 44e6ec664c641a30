"""Classes of equal answers: what a vote counts.

Samples that say the same answer in different words belong to one candidate. A number finds its
class at once, by its value. Anything else is looked up by how it is spelled, and if that is new it
is compared with one member of each class there is; each formula is evaluated once for that. What is
not decided in ``SECONDS`` is a class of its own, and counted as a cut-off
(``symbolic.comparisons``).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from fractions import Fraction

from glassmind.grade.equality import same_form
from glassmind.grade.forms import Form, Named, Number, read_answer
from glassmind.grade.numbers import WrittenNumber, read_number, spelled_answer
from glassmind.grade.symbolic import CutOff
from glassmind.grade.typesetting import unwrap

SECONDS = 20.0
"""For all answers of one group that are no plain numbers."""


def group_answers(answers: Sequence[str | None]) -> list[str | None]:
    """For every answer the spelling that stands for its class; ``None`` where there is no answer.

    Answers have the same spelling exactly when they are in the same class. For a number it is the
    canonical one (``numbers.spelled_answer``), for anything else that of the first answer in it.
    """
    groups = _Groups()
    return [None if answer is None else groups.spelling(answer) for answer in answers]


class _Groups:
    """The classes found so far."""

    def __init__(self) -> None:
        self.numbers: dict[Fraction, str] = {}
        self.known: dict[Form, str] = {}
        self.first: list[tuple[Form, str]] = []  # member of each class that has no number
        self.deadline = time.monotonic() + SECONDS

    def spelling(self, answer: str) -> str | None:
        number = read_number(answer)
        if number is not None:
            return self._number(number)
        form = read_answer(answer)
        value = form.value if isinstance(form, Named) else form  # x = 15
        if isinstance(value, Number):
            return self._number(value.number)
        written = unwrap(answer)
        if not written:
            return None
        return self._other(form, written)

    def _number(self, number: WrittenNumber) -> str:
        if number.value not in self.numbers:
            written = spelled_answer(number)
            self.numbers[number.value] = self._compared(Number(number), written, self.first)
        return self.numbers[number.value]

    def _other(self, form: Form, written: str) -> str:
        if form not in self.known:
            numbers = [(Number(WrittenNumber(v, False)), name) for v, name in self.numbers.items()]
            self.known[form] = self._compared(form, written, numbers + self.first)
            if self.known[form] == written:
                self.first.append((form, written))
        return self.known[form]

    def _compared(self, form: Form, written: str, classes: Sequence[tuple[Form, str]]) -> str:
        """The spelling of the class that ``form`` belongs to; ``written`` where it is a new one."""
        for member, spelling in classes:
            try:
                if same_form(member, form, self.deadline):
                    return spelling
            except CutOff:
                continue
        return written
