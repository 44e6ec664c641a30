"""Where the numbers of a step come from: the question, an earlier step, general knowledge, nowhere.

A step with a true equation may still be wrong, because it computes with the wrong numbers. Without
understanding the question, three things can be said about an operand: that the question has it (in
digits or in words), that an earlier step has made it, or that it is a number that people know, such
as the 60 minutes of an hour. An operand that is none of these has no support. And a chain that
leaves a number of the question unused, or uses one twice, has often misread it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from fractions import Fraction
from typing import Literal

MAX_TEXT = 20_000
"""Only so many characters of a question or a step are read."""

Origin = Literal["question", "result", "again", "words", "known", "nowhere"]
"""Where an operand comes from: a number of the question or a result of an earlier step that has not
been used yet; one that has (``again``); a word of the question (``twice``, ``a dozen``); general
knowledge; none of these."""

_DIGITS = re.compile(
    r"(?<![0-9.])(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,12})(?:\.[0-9]{1,12})?|\.[0-9]{1,12}"
)
_WORD = re.compile(r"[a-z]+")

_UNITS = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
    "nineteen",
]  # fmt: skip
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_PARTS = {
    "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8,
    "ninth": 9, "tenth": 10, "twelfth": 12, "twentieth": 20, "hundredth": 100,
}  # fmt: skip
WORDS: dict[str, tuple[int, ...]] = {
    **{word: (value,) for value, word in enumerate(_UNITS)},
    **{word: (10 * value,) for value, word in enumerate(_TENS, 2)},
    **{word: (value,) for word, value in _PARTS.items()},
    **{f"{word}s": (value,) for word, value in _PARTS.items()},
    "half": (2,), "halves": (2,), "halved": (2,), "both": (2,), "couple": (2,), "pair": (2,),
    "pairs": (2,), "twin": (2,), "twins": (2,), "twice": (2,), "double": (2,), "doubles": (2,),
    "doubled": (2,), "thrice": (3,), "triple": (3,), "tripled": (3,), "quadruple": (4,),
    "single": (1,), "dozen": (12,), "dozens": (12,), "hundred": (100,), "thousand": (1000,),
    "million": (1_000_000,), "percent": (100,), "percentage": (100,), "square": (4,),
    "triangle": (3,), "century": (100,), "decade": (10,), "score": (20,),
}  # fmt: skip
"""The numbers that a word stands for."""

_SHARES = ("0.01", "0.05", "0.1", "0.25", "0.5")
_WHOLE = (
    1, 2, 3, 4, 5, 7, 10, 12, 16, 24, 25, 30, 31, 36, 50, 52, 60, 90, 100, 180, 360, 365, 366, 1000,
    3600,
)  # fmt: skip
KNOWN = frozenset([*map(Fraction, _SHARES), *map(Fraction, _WHOLE)])
"""Numbers of general knowledge: hours, days and months, coins, inches, per cent, degrees."""


def digits_in(text: str) -> list[Fraction]:
    """The numbers that ``text`` has in digits, in order, each occurrence."""
    return [Fraction(found.replace(",", "")) for found in _DIGITS.findall(text[:MAX_TEXT])]


def words_in(text: str) -> set[Fraction]:
    """The numbers that words of ``text`` stand for, also tens and units together (``forty-two``)
    and parts of more than one (``three quarters``)."""
    found: set[Fraction] = set()
    before = 0
    for word in _WORD.findall(text[:MAX_TEXT].lower()):
        for value in WORDS.get(word, ()):
            found.add(Fraction(value))
            if before in range(20, 100, 10) and 0 < value < 10:
                found.add(Fraction(before + value))
            if before and value in (100, 1000, 1_000_000):
                found.add(Fraction(before * value))
            if before and word.rstrip("s") in _PARTS:
                found.add(Fraction(before, value))
        before = WORDS.get(word, (0,))[0]
    return found


class Ledger:
    """The numbers that the steps of one chain may compute with, and which of them were used.

    Values are matched, not places: if the question has a seven and a step has made another, the
    first use of a seven takes the question's.
    """

    def __init__(self, question: str) -> None:
        self.question = Counter(digits_in(question))
        self.words = words_in(question)
        self.results: Counter[Fraction] = Counter()
        self._seen = set(self.question)

    def use(self, value: Fraction) -> Origin:
        """Where ``value`` comes from; a number of the question or a result is then used."""
        for origin, numbers in (("question", self.question), ("result", self.results)):
            if numbers[value] > 0:
                numbers[value] -= 1
                return "question" if origin == "question" else "result"
        if value in self._seen:
            return "again"
        if value in self.words:
            return "words"
        return "known" if value in KNOWN else "nowhere"

    def make(self, value: Fraction) -> None:
        """Note that a step has made ``value``."""
        self.results[value] += 1
        self._seen.add(value)

    @property
    def unused(self) -> int:
        """How many numbers of the question, in digits, no step has used."""
        return sum(self.question.values())

    @property
    def open(self) -> int:
        """How many results no later step has used."""
        return sum(self.results.values())


def supported(value: Fraction, sources: Iterable[Fraction]) -> bool:
    """Whether ``value`` is one of ``sources`` in another guise: as itself, as a share of a hundred
    or what is left of it (``20%``: 0.2, 0.8, 1.2, 80, 120), or as one part of so many."""
    value = abs(value)
    for source in sources:
        share = source / 100
        if value in (source, share, 1 - share, 1 + share, 100 - source, 100 + source, 100 * source):
            return True
        if source and value in (1 / source, 1 - 1 / source):
            return True
        if source < 1 and value in (1 - source, 1 + source):
            return True
    return False
