"""MATH-500: the 500 problems of MATH's test split that Lightman et al. (2023) held out.

A line has ``problem``, ``solution`` and ``answer`` (LaTeX), and ``subject``, ``level`` and
``unique_id`` (arXiv 2305.20050). Answers are compared by value.
"""

from __future__ import annotations

from dataclasses import replace

from glassmind.data.problems.column_mapping import ProblemColumns
from glassmind.data.problems.files import load_problems
from glassmind.pipeline.tasks.task import AnswerTask, Questions, Wanted

_COLUMNS = ProblemColumns(question="problem", answer="answer", solution="solution")


def _load(wanted: Wanted) -> Questions:
    found = load_problems(wanted.argument, _COLUMNS, on_bad_row=wanted.on_bad_row, say=wanted.say)
    return Questions([replace(problem, source="math-500") for problem in found])


TASK = AnswerTask(
    "math-500",
    "competition problems with LaTeX answers, in the format of MATH-500",
    _load,
    argument="FILE",
    prompt="boxed-1",
)
