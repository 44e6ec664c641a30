"""Countdown problems and their grader."""

from __future__ import annotations

import itertools
import re
from fractions import Fraction

import pytest

from glassmind.data.problems.countdown import countdown_holds, countdown_problems
from glassmind.records import Problem

ASKED = Problem("c", "Using the numbers 3, 7, 25 and 25, each at most once, write 82.", "82")


def reachable(numbers: tuple[Fraction, ...]) -> set[Fraction]:
    """Every value that an expression with all or some of the numbers can have."""
    found = set(numbers)
    for i, j in itertools.permutations(range(len(numbers)), 2):
        a, b = numbers[i], numbers[j]
        rest = tuple(n for k, n in enumerate(numbers) if k not in (i, j))
        for value in (a + b, a - b, a * b, *([a / b] if b else [])):
            found |= reachable((value, *rest))
    return found


def test_every_problem_can_be_solved() -> None:
    problems = countdown_problems(6, seed=1, numbers=3)
    assert len({p.question for p in problems}) == 6
    for problem in problems:
        *numbers, target = map(int, re.findall(r"\d+", problem.question))
        assert problem.answer == str(target)
        assert Fraction(target) in reachable(tuple(map(Fraction, numbers)))
    assert countdown_problems(3, seed=1, numbers=3) == problems[:3]


@pytest.mark.parametrize(
    ("reply", "right"),
    [
        ("25+25=50\n3*7=21\nso 25*3+7", True),
        ("25*3 + 7 = 82", True),
        ("(25×3)+7", True),
        ("82", False),
        ("41*2", False),
        ("25*3+7+25-25", False),  # 25 three times
        ("25*3+3+7-3", False),
        ("25*3+7\nno, 25*3", False),  # the last one counts
        ("", False),
        ("25*(3", False),
    ],
)
def test_an_expression_is_graded_exactly(reply: str, right: bool) -> None:
    assert countdown_holds(ASKED, reply) is right


def test_a_reply_may_be_anything() -> None:
    for reply in ("(" * 100_000, "1+" * 50_000, "9*9 " * 30_000, "-" * 99_999 + "1"):
        assert not countdown_holds(ASKED, reply)
