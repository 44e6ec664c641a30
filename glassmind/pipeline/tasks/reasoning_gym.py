"""Reasoning Gym: about a hundred families of generated problems (arXiv 2505.24760).

``reasoning-gym:basic_arithmetic`` names a family. Each has a checker of its own, since many
problems have several right answers. A reply is right if the checker gives it full marks, for the
answer that we find in it or for its last line. The package is an extra
(``glassmind[reasoning-gym]``), and works in a process with limits, see ``reasoning_gym_script``.
"""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

from glassmind.data.splits import content_key
from glassmind.errors import UserError
from glassmind.pipeline.tasks.reply import reply_text
from glassmind.pipeline.tasks.task import AnswerTask, Questions, Wanted
from glassmind.reason.method import Solution
from glassmind.records import Problem
from glassmind.worker import Worker, WorkerStopped

SECONDS = 20.0
"""The limit for one request: a data set of a few hundred problems, or the score of one reply."""

_USUAL_COUNT = 200
_LONGEST_REPLY = 4_000  # characters of an answer that are scored
_LONGEST_LINE = 64 << 20  # bytes of the worker's answer
_FULL = 1 - 1e-9
_EXTRA = "pip install 'glassmind[reasoning-gym]'"


@cache
def _worker() -> Worker:
    return Worker(
        Path(__file__).with_name("reasoning_gym_script.py"),
        seconds=SECONDS,
        memory=4 << 30,
        cannot_start=f"the process that runs Reasoning Gym does not start; install it: {_EXTRA}",
    )


def _load(wanted: Wanted) -> Questions:
    if importlib.util.find_spec("reasoning_gym") is None:
        raise UserError(f"the task reasoning-gym needs a package that is not installed: {_EXTRA}")
    family, size = wanted.argument, wanted.limit or _USUAL_COUNT
    made: dict[str, Any] = {"size": size, "seed": wanted.recipe.seed}
    try:
        answer = _worker().ask({"make": family, **made}, _LONGEST_LINE)
    except WorkerStopped:
        raise UserError(
            f"Reasoning Gym did not make {size} problems of {family} within {SECONDS:.0f} s; "
            "ask for fewer (--limit)"
        ) from None
    if "rows" not in answer:
        raise UserError(
            f"Reasoning Gym has no problems of {family[:60]!r} "
            f"({answer.get('refused', 'it failed')}); its families are {answer.get('known', '')}"
        )
    problems = [
        Problem(
            id=f"{family}-{number:05d}",
            question=question,
            answer=right,
            source=f"reasoning-gym/{family}",
            split="test",
            key=content_key(question),
        )
        for number, (question, right) in enumerate(answer["rows"])
    ]
    places = {problem.id: number for number, problem in enumerate(problems)}

    def is_right(problem: Problem, solution: Solution) -> bool:
        lines = reply_text(solution).splitlines()
        given = dict.fromkeys([solution.answer or "", *(line.strip() for line in lines[-1:])])
        asked = {"of": family, "at": places[problem.id], **made}
        return any(_score({"score": text[:_LONGEST_REPLY], **asked}) for text in given if text)

    return Questions(problems, is_right)


def _score(request: dict[str, Any]) -> bool:
    """Whether an answer gets full marks; one that cannot be scored within the limits does not."""
    try:
        return float(_worker().ask(request, _LONGEST_LINE).get("score", 0)) >= _FULL
    except WorkerStopped:
        return False


TASK = AnswerTask(
    "reasoning-gym",
    "a family of Reasoning Gym's generated problems, graded by its own checker",
    _load,
    argument="FAMILY",
    prompt="step-by-step-1",
)
