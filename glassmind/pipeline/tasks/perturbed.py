"""The problems of another task, changed: ``numbers-changed:gsm8k``, ``distractor:test``.

``glassmind.data.problems.perturbations`` says what each change does, and which problems it leaves
out. The answers must be comparable by value, so the other task must have no grader of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from glassmind.data.problems.perturbations import PERTURBATIONS, perturbed
from glassmind.errors import UserError
from glassmind.pipeline.tasks.task import AnswerTask, Questions, Task, Wanted

_ABOUT = {
    "numbers-changed": "another task with other numbers, and the answers computed again",
    "distractor": "another task with an irrelevant sentence in every question",
    "question-first": "another task with the question before the story",
}


def tasks(find: Callable[[str], tuple[Task, str]]) -> tuple[AnswerTask, ...]:
    """The perturbations as tasks; ``find`` gives the task that a name stands for, and its
    argument."""

    def load(change: str, wanted: Wanted) -> Questions:
        inner, argument = find(wanted.argument)
        if not isinstance(inner, AnswerTask):
            raise UserError(f"{change} changes word problems, and {inner.name} has none")
        limit = 4 * wanted.limit  # some problems are left out
        found = inner.load(replace(wanted, argument=argument, limit=limit))
        if found.right is not None:
            raise UserError(f"{change} cannot be applied to {inner.name}, which grades by itself")
        problems = perturbed(found.problems, change, wanted.recipe.seed)
        if not problems:
            raise UserError(f"{change} applies to none of the problems of {wanted.argument}")
        return Questions(problems)

    return tuple(
        AnswerTask(change, _ABOUT[change], partial(load, change), argument="TASK")
        for change in PERTURBATIONS
    )
