"""What exact checking finds in a chain, and which questions are sums."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest

from glassmind.data import ProblemDial, generate
from glassmind.grade.arithmetic import read_equations
from glassmind.grade.bare_arithmetic import bare_arithmetic
from glassmind.grade.chain_checks import check_chain, unused_numbers
from glassmind.grade.units import mixed_kinds


@pytest.mark.parametrize(
    ("line", "holds"),
    [
        ("pencils: 3*12=36", [True]),
        ("14/6=4", [False]),
        ("14/6=2", [False]),
        ("10/3=3.33", [True]),  # rounded to what is written
        ("10/3=3.34", [False]),
        ("1. 3*12=37", [False]),
        ("**3 × 12 = 36**", [True]),
        ("1) She has 3 * $12.50 = $37.50.", [True]),
        ("a: 3*4=12, 12+5=18", [True, False]),
        ("3*12 = 36. 36-5 = 30", [True, False]),
        ("3*12=36-5=31", [True, True]),
        ("48/2=<<48/2=24>>24", [True]),
        ("he pays 12 - 3=9", [True]),
        ("1/3*100%=33.3%", [True]),
        # What may be the end of something longer is left alone.
        ("half of 3*4 = 6", []),
        ("y + 3 = 7", []),
        ("2x + 3 = 7", []),
        ("sqrt(16) * 2 = 8", []),
        ("5 + 2^3 = 13", []),
        ("20% of 50 = 10", []),
        ("14/6=2 remainder 2", []),
        ("50%=0.5", []),
        ("x = 4", []),
        ("=" * 5000, []),
        ("1+" * 3000 + "1=2", []),
    ],
)
def test_equations_of_a_line(line: str, holds: list[bool]) -> None:
    assert [equation.holds for equation in read_equations(line)] == holds


def test_sums_are_read_as_they_are_written() -> None:
    rng = random.Random(0)
    for _ in range(300):
        a, b, c = rng.randrange(1000), rng.randrange(1, 1000), rng.randrange(1000)
        sign = rng.choice("+-*/")
        value = {"+": Fraction(a + b), "-": Fraction(a - b), "*": Fraction(a * b)}.get(
            sign, Fraction(a, b)
        )
        (equation,) = read_equations(f"so far: {a}{sign}{b}={c}")
        assert equation.value == value and equation.holds == (value == c)


def test_solutions_of_problems_have_nothing_wrong() -> None:
    for problem in generate(ProblemDial(), 200, split="reworded", seed=3):
        steps = [step.text for step in problem.steps]
        checks = check_chain(steps, problem.answer, problem.question)
        assert checks.sound and all(checks.holds), (problem, checks)
        assert checks.findings(problem.answer) == ()


def test_what_is_wrong_is_said() -> None:
    steps = ["a: 12-3=9", "b: 14/6=4"]
    checks = check_chain(steps, "9")
    assert checks.holds == (True, False) and checks.false_equations == ("14/6=4",)
    assert checks.last_value == "4" and checks.answer_differs and not checks.sound
    assert checks.findings("9") == (
        "the equation 14/6=4 is false",
        "the answer 9 is not the last step's result, 4",
    )
    # The last step has no equation: nobody can say where the steps lead.
    assert check_chain(["a: 12-3=9", "so it is five"], "5").sound
    assert check_chain(["a: 12-3=9"], None).sound and check_chain([], "9").sound
    assert check_chain(["a: 1/2=0.5"], "50%").sound and check_chain(["a: 2*9=18"], "$18.00").sound


BOOKS = "A book costs $12. Tom buys 3 books. How much does Tom pay?"


@pytest.mark.parametrize(
    ("question", "steps", "kinds"),
    [
        (BOOKS, ["left: 12-3=9"], ("money", "things")),
        (BOOKS, ["paid: 12*3=36"], ()),
        (BOOKS, ["paid: 12*3=36", "left: 36-3=33"], ()),  # 36 was made, who knows of what
        ("He runs 5 km in 20 minutes.", ["20-5=15"], ("time", "length")),
        ("4 apples and 5 pears", ["4+5=9"], ()),
        ("Tom was 4 when he came 9 years ago.", ["9+4=13"], ()),
        ("It costs $20, 15% less than the $18 of 15 others.", ["20-15=5"], ()),  # which 15?
        ("3 books cost $3, 4 pens $9.", ["9-3=6"], ()),  # 3 has two kinds
    ],
)
def test_kinds_that_cannot_be_added(question: str, steps: list[str], kinds: tuple[str]) -> None:
    assert mixed_kinds(question, steps) == kinds


def test_numbers_that_are_not_used() -> None:
    question = "7 boxes of 7 pens, 3 caps and 1,200 nails"
    assert unused_numbers(question, ["pens: 7*7=49", "all: 49+3=52"]) == ("1200",)
    assert unused_numbers(question, ["pens: 7*3=21"]) == ("7", "1200")
    assert unused_numbers("no number", []) == ()


@pytest.mark.parametrize(
    ("question", "equation"),
    [
        ("What is 12*13?", "12*13=156"),
        ("what's 12 x 13", "12x13=156"),
        ("12 * 13 = ?", "12*13=156"),
        ("(3+4)*5 =", "(3+4)*5=35"),
        ("What is  12 times 7?", "12*7=84"),
        ("How much is 10 divided by 4?", "10/4=2.5"),
        ("what does 3 plus 4 equal?", "3+4=7"),
        ("Calculate 1/3.", "1/3=1/3"),
        ("-3+5", "-3+5=2"),
        ("1,200*3", "1,200*3=3600"),
        ("What is 5?", None),
        ("2^3", None),
        ("1/0", None),
        ("Tom has 3*4 apples", None),
        ("What is 3/4 of 8?", None),
        ("How many are 3 boxes of 4?", None),
        ("1+" * 300 + "1", None),
        ("(" * 300 + "1+1" + ")" * 300, None),
        ("", None),
    ],
)
def test_sums(question: str, equation: str | None) -> None:
    found = bare_arithmetic(question)
    assert (None if found is None else found.equation) == equation
