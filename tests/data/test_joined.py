"""Two problems told and solved as one."""

from __future__ import annotations

import random

from glassmind.data import ProblemDial, generate
from glassmind.data.problems.joined import joined_pairs, solved_together, told_together

PROBLEMS = generate(ProblemDial(2, 3), 40, split="train", seed=0)


def test_pairs_keep_every_problem_and_the_order() -> None:
    groups = joined_pairs(PROBLEMS, 0.5, random.Random(0))
    assert [problem for group in groups for problem in group] == PROBLEMS
    assert {len(group) for group in groups} == {1, 2}
    assert joined_pairs(PROBLEMS, 0.0, random.Random(0)) == [(one,) for one in PROBLEMS]
    assert {len(group) for group in joined_pairs(PROBLEMS, 1.0, random.Random(0))} == {2}


def test_a_joined_solution_uses_its_own_steps() -> None:
    first, second = PROBLEMS[:2]
    steps = solved_together([first.steps, second.steps])
    assert len(steps) == len(first.steps) + len(second.steps)
    assert told_together((first, second)) == f"{first.question} {second.question}"
    for step in steps:
        for operand, use in zip(step.operands, step.uses, strict=True):
            assert use is None or steps[use].value == operand
    later = steps[len(first.steps) :]
    assert all(use is None or use >= len(first.steps) for step in later for use in step.uses)
