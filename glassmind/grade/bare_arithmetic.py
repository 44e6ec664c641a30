"""Recognising questions that are only arithmetic: ``What is 12*13?``, ``7 plus 8``, ``(3+4)*5 =``.

A calculator answers them exactly, while a small model that was trained on word problems often does
not. A question with any other words is not bare arithmetic.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from glassmind.grade.arithmetic import MAX_TEXT, evaluate
from glassmind.grade.numbers import canonical

_WORDS = (
    (r"multiplied by|times", "*"),
    (r"divided by|over", "/"),
    (r"plus", "+"),
    (r"minus", "-"),
)
_ASKING = re.compile(
    r"(?:please +)?(?:(?:what|how much) +(?:is|are|does|do|'s)|what['\u2019]s|whats|calculate|"
    r"compute|evaluate|solve|work out|find|tell me)?[: ]*(.*?)"
    r" *(?:\b(?:equals?|equal to|make|makes)\b)? *(?:= *\??)? *(?:\?+|\.|!)? *",
    re.IGNORECASE | re.DOTALL,
)
_POWER = re.compile(r"\*\*|\^")


@dataclass(frozen=True, slots=True)
class Calculation:
    """An arithmetic expression from a question, with its exact value."""

    expression: str
    value: Fraction

    @property
    def answer(self) -> str:
        """The value as answers are written: ``156``, ``0.75``, ``1/3``."""
        return canonical(self.value)

    @property
    def equation(self) -> str:
        """The equation as a step of a chain would have it: ``12*13=156``."""
        return f"{self.expression}={self.answer}"


def bare_arithmetic(question: str) -> Calculation | None:
    """The expression that ``question`` asks for; ``None`` if it is not bare arithmetic."""
    if len(question) > MAX_TEXT:
        return None
    asked = _ASKING.fullmatch(" ".join(question.split()))
    if asked is None or _POWER.search(asked[1]):
        return None
    expression = asked[1]
    for words, sign in _WORDS:
        expression = re.sub(rf"(?<=[0-9)%]) *\b(?:{words})\b *", sign, expression, flags=re.I)
    if not re.search(r"[0-9)%] *[-+*/x\u00d7\u00f7\u2212\u2013] *[-+$(0-9.]", expression):
        return None  # a number alone is not a question
    value = evaluate(expression)
    return None if value is None else Calculation(expression.replace(" ", ""), value)
