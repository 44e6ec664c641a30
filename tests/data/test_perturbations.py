"""Problems that were changed still have the right answer."""

from __future__ import annotations

import random
import re
from dataclasses import replace

import pytest

from glassmind.data import ProblemDial, generate
from glassmind.data.problems.perturbations import (
    PERTURBATIONS,
    linked_steps,
    numbers_changed,
    perturbed,
)
from glassmind.grade.steps import check_steps
from glassmind.records import Problem, Step

PROBLEMS = generate(ProblemDial(2, 4), 40, split="validation", seed=3)
GSM = Problem(
    "g",
    "Mia has 3 boxes of 12 pens. She loses 5. How many pens are left?",
    "31",
    (
        Step("3*12=36", "*", ("3", "12"), "36"),
        Step("36-5=31", "-", ("36", "5"), "31"),
    ),
)


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_changed_problems_are_right(name: str) -> None:
    changed = perturbed(PROBLEMS, name, 0)
    assert len(changed) >= 25
    before = {problem.id: problem for problem in PROBLEMS}
    for problem in changed:
        checks = check_steps(problem, [step.text for step in problem.steps])
        assert checks[-1].complete, problem
        original = before[problem.id.removesuffix("-numbers").removesuffix(f"-{name}")]
        assert problem.question != original.question and problem.key != original.key
        assert (problem.answer == original.answer) == (name != "numbers-changed")
    assert perturbed(PROBLEMS, name, 0) == changed
    assert (perturbed(PROBLEMS, name, 1) == changed) == (name == "question-first")
    # A problem is changed in the same way whatever other problems there are.
    assert perturbed(PROBLEMS[7:9], name, 0) == [
        p for p in changed if p.id.startswith((f"{PROBLEMS[7].id}-", f"{PROBLEMS[8].id}-"))
    ]


def test_uses_are_found_where_a_set_does_not_tell_them() -> None:
    linked = linked_steps(GSM)
    assert linked is not None and [step.uses for step in linked] == [(None, None), (0, None)]
    changed = numbers_changed(GSM, random.Random(0))
    assert changed is not None
    a, b, c = map(int, re.findall(r"\d+", changed.question))
    assert changed.answer == str(a * b - c) and "Mia" not in changed.question
    money = replace(GSM, question=GSM.question.replace("has 3", "pays $3.00 for"))
    again = numbers_changed(money, random.Random(1))
    assert again is not None and re.search(r"\$\d+\.00 ", again.question)


def test_unclear_chains_are_left_out() -> None:
    for question, steps in (
        (GSM.question.replace("She", "In 36 days she"), GSM.steps),  # 36 from the text, or made?
        (GSM.question + " It is 9 o'clock.", GSM.steps),  # 9 may have been used
        (GSM.question.replace("loses 5", "loses 3"), (GSM.steps[0], Step("36-3=33"))),
        (GSM.question, (GSM.steps[0],)),  # does not lead to the answer
        (GSM.question, (replace(GSM.steps[0], value="37"), GSM.steps[1])),  # false
        (GSM.question, (Step("1+1=2", "+", ("1", "1"), "2"), *GSM.steps)),  # leads nowhere
    ):
        assert linked_steps(replace(GSM, question=question, steps=steps)) is None
    twice = replace(GSM, question=GSM.question.replace("5", "12"), answer="24",
                    steps=(GSM.steps[0], Step("36-12=24", "-", ("36", "12"), "24")))  # fmt: skip
    assert numbers_changed(twice, random.Random(0)) is None
