"""The verdict on a written solution: by exact checks, and by a verifier where it may be asked."""

from __future__ import annotations

from dataclasses import replace

import pytest

from glassmind.llm import LocalLLM
from glassmind.llm.opening import open_local
from glassmind.reason.check import UNSUPPORTED, check_lines, check_solutions

QUESTION = "Mia has 3 boxes of 12 pencils. She gives 6 away. How many pencils are left?"
RIGHT = ["pencils: 3*12=36", "left: 36-6=30"]
FALSE = ["pencils: 3*12=36", "left: 36-6=31"]
WRONG_PLAN = ["pencils: 3+12=15", "left: 15-6=9"]


@pytest.fixture(scope="module")
def shipped() -> LocalLLM:
    return open_local()


def test_a_false_equation_is_certain() -> None:
    [found] = check_solutions([QUESTION], [FALSE])
    assert (found.first_wrong, found.kind, found.confidence) == (1, "false equation", 1.0)
    assert found.reason == "36-6 is 30, not 31"
    assert found.steps[0].equations == ("3*12=36",)
    assert "a wrong plan" in found.warnings[0]
    shown = "\n".join(line for line, _ in check_lines(found))
    assert "2. left: 36-6=31   ✗ first wrong step" in shown
    assert "step 2 is wrong (false equation): 36-6 is 30, not 31" in str(found)


def test_a_number_from_nowhere_is_a_suspicion() -> None:
    [found] = check_solutions([QUESTION], [["3 * 12 = 36", "36 - 17 = 19"]])
    assert (found.first_wrong, found.kind, found.confidence) == (
        1,
        "unsupported number",
        UNSUPPORTED,
    )
    assert found.reason.startswith("17 in 36 - 17=19 is not in the question")


def test_nothing_found_says_nothing_about_the_plan() -> None:
    [found] = check_solutions([QUESTION], [WRONG_PLAN])
    assert (found.first_wrong, found.kind, found.confidence) == (None, None, None)
    assert "no error was found" in str(found)


def test_the_verifier_sees_a_wrong_plan(shipped: LocalLLM) -> None:
    right, wrong, false = check_solutions([QUESTION] * 3, [RIGHT, WRONG_PLAN, FALSE], shipped)
    assert right.first_wrong is None and right.confidence is not None and right.confidence > 0.8
    assert right.warnings == ()
    assert all(step.belief is not None for step in right.steps)
    assert (wrong.first_wrong, wrong.kind) == (0, "verifier")
    assert wrong.confidence == pytest.approx(1 - (wrong.steps[0].belief or 0))
    assert (false.first_wrong, false.kind, false.confidence) == (1, "false equation", 1.0)


def test_a_stated_answer_is_not_a_step(shipped: LocalLLM) -> None:
    plain, stated, other = check_solutions(
        [QUESTION] * 3,
        [RIGHT, [RIGHT[0], f"{RIGHT[1]}\n#### 30"], [RIGHT[0], f"{RIGHT[1]}\nAnswer: 25"]],
        shipped,
    )
    assert stated.confidence == pytest.approx(plain.confidence)
    assert other.first_wrong == 1 and other.kind == "verifier"
    [apart] = check_solutions([QUESTION], [[RIGHT[0], "Answer: 30", RIGHT[1]]], shipped)
    assert [step.belief for step in apart.steps] == pytest.approx(
        [plain.steps[0].belief, None, plain.steps[1].belief]
    )


def test_the_verifier_is_not_asked_what_it_cannot_know(shipped: LocalLLM) -> None:
    strange = (
        "A train leaves Boston at noon doing 60 mph. When does it reach Albany, 170 miles away?"
    )
    long = ["pencils: 3*12=36"] * 60
    told = check_solutions(
        [strange, QUESTION, QUESTION],
        [["170/60=2.83"], ["First, there are 3*12=36 pencils in the boxes."], long],
        shipped,
    )
    for found, why in zip(told, ("never occurred", "one operation", "longer than"), strict=True):
        assert why in found.warnings[0]
        assert found.confidence is None
        assert found.steps[0].belief is None
    [bare] = check_solutions([QUESTION], [RIGHT], replace(shipped, scorer=None))
    assert "has no verifier" in bare.warnings[0]
