"""Published sets of word problems: the held-out part of each, and the part to train on.

The files are not in the package: ``GLASSMIND_DATA`` names a folder that has them
(``glassmind.data.problems.sets``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from glassmind.data.problems.sets import PROBLEM_SETS
from glassmind.errors import UserError
from glassmind.pipeline.tasks.task import AnswerTask, Questions, Wanted
from glassmind.records import Problem


def _loader(load: Callable[[], list[Problem]]) -> Callable[[Wanted], Questions]:
    return lambda wanted: Questions(load())


def _trained_on(load: Callable[[], list[Problem]]) -> Callable[[Wanted, int], Sequence[Problem]]:
    return lambda wanted, count: load()


def _none(wanted: Wanted, count: int) -> Sequence[Problem]:
    raise UserError("the examples are taken from this task itself: use them with another task")


TASKS = tuple(
    task
    for name, chosen in PROBLEM_SETS.items()
    for task in (
        AnswerTask(
            name, chosen.about, _loader(chosen.held_out), examples=_trained_on(chosen.train)
        ),
        AnswerTask(
            f"{name}-train",
            f"the problems of {name} that may be trained on",
            _loader(chosen.train),
            examples=_none,
        ),
    )
)
