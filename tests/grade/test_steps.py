"""Step checking: exact with respect to the game, tolerant of words, and bounded."""

from __future__ import annotations

import random
import time
from itertools import permutations

import pytest

from glassmind.data import ProblemDial, generate
from glassmind.grade.derivation import sample_solution
from glassmind.grade.steps import check_steps
from glassmind.records import Problem, Step

# Mia has 20 pens, buys 3 boxes of 12, gives away 5.
PENS = Problem(
    "p",
    "?",
    "51",
    (
        Step("pens: 3*12=36", "*", ("3", "12"), "36", (None, None), "pens"),
        Step("now: 20+36=56", "+", ("20", "36"), "56", (None, 0), "now"),
        Step("left: 56-5=51", "-", ("56", "5"), "51", (1, None), "left"),
    ),
)


def valid(problem: Problem, *steps: str) -> list[bool | None]:
    return [check.valid for check in check_steps(problem, steps)]


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (("pens: 3*12=36", "now: 20+36=56", "left: 56-5=51"), "111"),
        (("12 x 3 = 36 pens", "So 36 + 20 = 56.", "56-5=51"), "111"),
        (("20-5=15", "3*12=36", "15+36=51"), "111"),
        (("3*12=36", "36-5=31", "31+20=51"), "111"),
        (("20+36=56", "3*12=36", "56-5=51"), "000"),  # 36 is not known yet
        (("3*12=35", "20+35=55", "55-5=50"), "000"),  # wrong arithmetic
        (("3*12=36", "20-36=16", "16-5=11"), "100"),
        (("3*12=36", "20+36=56", "56+5=61"), "110"),  # right sum, wrong move
        (("3*12=36", "3*12=36", "20+36=56"), "100"),  # a quantity is used once
        (("3*12=36", "20+36=56", "56-5=51", "51-5=46"), "1110"),  # the game is over
        (("3+12=15", "3*12=36", "20+36=56"), "000"),  # once wrong, wrong for good
        (("nothing here", "3*12=36"), "00"),
        (("3*12+20=56", "56-5=51"), "00"),  # two operations in one are no move
        ((), ""),
    ],
)
def test_pens(steps: tuple[str, ...], expected: str) -> None:
    assert valid(PENS, *steps) == [digit == "1" for digit in expected]


def test_complete_means_finished() -> None:
    right = check_steps(PENS, ["3*12=36", "20+36=56", "56-5=51"])
    assert [c.complete for c in right] == [False, False, True]
    assert not any(c.complete for c in check_steps(PENS, ["3*12=36", "20+36=56"]))
    too_long = check_steps(PENS, ["3*12=36", "20+36=56", "56-5=51", "51+0=51"])
    assert not too_long[-1].complete
    wrong = check_steps(PENS, ["20-36=16", "3*12=36"])
    assert [c.arithmetic for c in wrong] == [False, True]
    assert [c.valid for c in wrong] == [False, False]


def test_equal_values_are_matched_by_any_reading_that_survives() -> None:
    # (6*2) + 6 - 2: both 6 and 2 occur twice; 6-2 must be read as the terms, 6*2 as the factors.
    problem = Problem(
        "p",
        "?",
        "16",
        (
            Step("", "*", ("6", "2"), "12", (None, None), "a"),
            Step("", "+", ("12", "6"), "18", (0, None), "b"),
            Step("", "-", ("18", "2"), "16", (1, None), "c"),
        ),
    )
    for steps in permutations(["6*2=12", "6-2=4", "12+4=16"]):
        expected = steps.index("12+4=16") == 2
        assert all(valid(problem, *steps)) is expected
    # 5 + 3 + 3 - 3: "3+3" may be the two plus terms; "3-3" a plus and the minus term.
    sums = Problem(
        "p",
        "?",
        "8",
        (
            Step("", "+", ("5", "3"), "8", (None, None), "a"),
            Step("", "+", ("8", "3"), "11", (0, None), "b"),
            Step("", "-", ("11", "3"), "8", (1, None), "c"),
        ),
    )
    assert valid(sums, "3+3=6", "6-3=3", "5+3=8") == [True] * 3
    assert valid(sums, "3-3=0", "0+5=5", "5+3=8") == [True] * 3
    assert valid(sums, "3+3=6", "3+6=9") == [True, False]


def test_two_subtracted_terms_may_be_added_first() -> None:
    problem = Problem(
        "p",
        "?",
        "10",
        (
            Step("", "-", ("20", "6"), "14", (None, None), "a"),
            Step("", "-", ("14", "4"), "10", (0, None), "b"),
        ),
    )
    assert valid(problem, "6+4=10", "20-10=10") == [True, True]
    assert valid(problem, "6-4=2", "20-2=18") == [False, False]
    assert valid(problem, "20+6=26") == [False]


def test_every_sampled_solution_is_valid_and_complete() -> None:
    rng = random.Random(0)
    for problem in generate(ProblemDial(1, 8), 600, split="train", seed=4):
        steps = sample_solution(problem, rng, regroup=0.6, reorder=0.6, swap=0.5)
        checks = check_steps(problem, [s.text for s in steps])
        assert all(c.valid and c.arithmetic for c in checks)
        assert [c.complete for c in checks] == [False] * (len(steps) - 1) + [True]


def test_against_exhaustive_play() -> None:
    """Over small problems: a chain is accepted exactly when brute force can play it."""
    rng = random.Random(5)
    for problem in generate(ProblemDial(2, 3, max_number=12), 60, split="train", seed=6):
        accepted = {
            tuple(
                s.text.partition(": ")[2]
                for s in sample_solution(problem, rng, regroup=0.8, reorder=0.8, swap=0.5)
            )
            for _ in range(300)
        }
        first_moves = {chain[0] for chain in accepted}
        numbers = sorted({int(o) for s in problem.steps for o in (*s.operands, s.value)})
        digits = len(str(numbers[-1]))  # the sampler plays no longer results; the checker may
        for a in numbers:
            for b in numbers:
                for text in (f"{a}+{b}={a + b}", f"{a}-{b}={abs(a - b)}", f"{a}*{b}={a * b}"):
                    if len(text.rpartition("=")[2]) <= digits:
                        assert (valid(problem, text) == [True]) == (text in first_moves)


def test_corrupted_solutions_are_caught() -> None:
    rng = random.Random(7)
    for problem in generate(ProblemDial(2, 5), 200, split="train", seed=8):
        texts = [s.text for s in problem.steps]
        at = rng.randrange(len(texts))
        value = int(problem.steps[at].value)
        texts[at] = texts[at].rpartition("=")[0] + f"={value + 1}"
        assert valid(problem, *texts) == [i < at for i in range(len(texts))]


def test_without_a_derivation_only_arithmetic() -> None:
    problem = Problem("g", "?", "72", (Step("48/2 = 24 clips"), Step("48+24 = 72 clips")))
    checks = check_steps(problem, ["48/2 = 24 clips", "48+24 = 71", "words"])
    assert [c.arithmetic for c in checks] == [True, False, False]
    assert all(c.valid is None and not c.complete for c in checks)


def test_many_equal_members_stay_bounded() -> None:
    steps = [Step("", "+", ("1", "1"), "2", (None, None), "a")]
    steps += [Step("", "+", (str(n), "1"), str(n + 1), (n - 2, None), "a") for n in range(2, 32)]
    problem = Problem("p", "?", "32", tuple(steps))
    start = time.process_time()
    pairs = ["1+1=2"] * 16 + ["2+2=4"] * 8 + ["4+4=8"] * 4 + ["8+8=16"] * 2 + ["16+16=32"]
    checks = check_steps(problem, pairs)
    assert all(c.valid for c in checks)
    assert checks[-1].complete
    assert time.process_time() - start < 0.5


def test_speed() -> None:
    problems = generate(ProblemDial(3, 3), 500, split="train", seed=0)
    chains = [[s.text for s in p.steps] for p in problems]
    start = time.process_time()
    for _ in range(3):
        for problem, chain in zip(problems, chains, strict=True):
            check_steps(problem, chain)
    # 13,000 a second on a quiet core.
    assert 1500 / (time.process_time() - start) > 3000
