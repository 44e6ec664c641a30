"""Classes of equal answers, the candidates of a vote.

Samples that give the same answer in different spellings vote for one candidate. The class of a
number is looked up by its value. Other answers are looked up by their spelling, and a new spelling
is compared with one member of each class; each formula is evaluated once for that. An answer whose
comparisons are not finished within ``SECONDS`` becomes a class of its own, and is counted as cut
off (``symbolic.comparisons``).
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
"""The limit for all answers of one group that are not plain numbers."""


def group_answers(answers: Sequence[str | None]) -> list[str | None]:
    """For every answer the spelling that represents its class; ``None`` for no answer.

    Two answers get the same spelling exactly if they are in the same class. For a number it is the
    canonical one (``numbers.spelled_answer``), for other answers that of the first in the class.
    """
    groups = _Groups()
    return [None if answer is None else groups.spelling(answer) for answer in answers]


class _Groups:
    """The classes found so far."""

    def __init__(self) -> None:
        self.numbers: dict[Fraction, str] = {}
        self.known: dict[Form, str] = {}
        self.first: list[tuple[Form, str]] = []  # the first member of each class without a number
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
        """The spelling of the class that ``form`` belongs to; ``written`` if the class is new."""
        for member, spelling in classes:
            try:
                if same_form(member, form, self.deadline):
                    return spelling
            except CutOff:
                continue
        return written
