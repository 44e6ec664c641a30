"""The user's own problems: a file of questions and answers, or a folder of such files."""

from __future__ import annotations

from glassmind.data.problems.files import load_problems
from glassmind.pipeline.tasks.task import AnswerTask, Questions, Wanted


def _load(wanted: Wanted) -> Questions:
    columns, on_bad_row = wanted.columns, wanted.on_bad_row
    found = load_problems(wanted.argument, columns, on_bad_row=on_bad_row, say=wanted.say)
    return Questions(found)


TASK = AnswerTask("own-file", "questions and answers of a file of yours", _load, argument="FILE")
