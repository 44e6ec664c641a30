"""Finds steps that add or subtract different kinds of quantities, such as dollars and books.

The kind of a number in a question is given by the text around it: ``$12`` and ``12 dollars`` are
money, ``5 meters`` is a length, ``3 books`` are things. The product of a price and a number of
books makes sense, but their difference does not. Only numbers that come directly from the question
and have one kind there are checked. All counted things are one kind, since apples and pears may be
added.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from glassmind.grade.arithmetic import read_equation

_KINDS = {
    "money": "dollar cent euro pound penny pennies buck usd",
    "length": "meter metre kilometer kilometre centimeter centimetre millimeter mile foot feet "
    "inch inche yard km cm mm mi ft",
    "time": "second minute hour day week month year decade",
    "weight": "gram kilogram kilo kg ounce ton tonne lb",
    "volume": "liter litre milliliter gallon pint ml",
}
_KIND_OF = {unit: kind for kind, units in _KINDS.items() for unit in units.split()}
COUNT = "things"
"""The kind of a number before a plural that is not a unit of measure."""

_MEASURED = re.compile(r"([$€£]?) ?\b([0-9]{1,12})\b(?![.,]?[0-9])(?: *(%)|[ -]([^\W\d_]+))?")
_NO_NOUN = frozenset(
    ["less", "is", "was", "has", "does", "times", "as", "its", "his", "this", "us", "plus", "minus"]
)


def mixed_kinds(question: str, steps: Sequence[str]) -> tuple[str, ...]:
    """The two kinds in the first sum or difference that combines different ones, such as
    ``("money", "things")``; empty if no step does."""
    kinds = _kinds_in(question)
    made: set[str] = set()
    for step in steps:
        equation = read_equation(step)
        if equation is None or not equation.operator:
            continue
        operands = (str(equation.left), str(equation.right))
        if equation.operator in "+-" and not made.intersection(operands):
            found = [kinds.get(number, set()) for number in operands]
            if all(len(kind) == 1 for kind in found) and found[0] != found[1]:
                return (*found[0], *found[1])
        made.add(str(equation.result))
    return ()


def _kinds_in(question: str) -> dict[str, set[str]]:
    """The kinds of each number of a question; numbers that stand without a unit or noun somewhere
    are left out."""
    kinds: dict[str, set[str]] = {}
    unknown = set()
    for sign, number, percent, word in _MEASURED.findall(question[:20_000].lower()):
        if sign:
            kind = "money"
        else:
            kind = _KIND_OF.get(word) or _KIND_OF.get(word.removesuffix("s")) or COUNT
        if percent or (kind == COUNT and (not word.endswith("s") or word in _NO_NOUN)):
            unknown.add(number)
        kinds.setdefault(number, set()).add(kind)
    return {number: found for number, found in kinds.items() if number not in unknown}
