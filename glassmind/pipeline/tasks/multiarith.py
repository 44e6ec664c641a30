"""MultiArith and other sets in MAWPS's format (Roy and Roth 2015, arXiv 1608.01413)."""

from __future__ import annotations

from pathlib import Path

from glassmind.data.problems.word_problem_sets import load_word_problems
from glassmind.pipeline.tasks.task import AnswerTask, Questions, Wanted


def _load(wanted: Wanted) -> Questions:
    return Questions(load_word_problems(Path(wanted.argument), "test"))


TASK = AnswerTask(
    "multiarith",
    "word problems of several steps, in MultiArith's format, which MAWPS, ASDiv and SVAMP share",
    _load,
    argument="FILE",
)
