"""Countdown: write an expression with given numbers that equals a target."""

from __future__ import annotations

from glassmind.data.problems.countdown import countdown_holds, countdown_problems
from glassmind.pipeline.tasks.reply import reply_text
from glassmind.pipeline.tasks.task import AnswerTask, Questions, Wanted
from glassmind.reason.method import Solution
from glassmind.records import Problem

_USUAL_COUNT = 200


def _load(wanted: Wanted) -> Questions:
    count = wanted.limit or _USUAL_COUNT
    return Questions(countdown_problems(count, wanted.recipe.seed), _right)


def _right(problem: Problem, solution: Solution) -> bool:
    return countdown_holds(problem, reply_text(solution))


TASK = AnswerTask(
    "countdown",
    "an expression with four given numbers that equals a target; checked exactly",
    _load,
    prompt="last-line-1",
)
