"""The names of the tasks on which a model can be graded. A wrong name is refused without loading
anything.

    test, gsm8k, ...        a task
    my.jsonl                a file of problems, or a folder of these
    mmlu:FILE               a task of a file
    distractor:gsm8k        a task made from another one
"""

from __future__ import annotations

from pathlib import Path

from glassmind.data.rows.files import SUFFIXES, is_row_file
from glassmind.errors import UserError
from glassmind.pipeline.tasks import (
    choices,
    countdown,
    generated,
    math_500,
    mmlu,
    multiarith,
    own_file,
    perplexity,
    perturbed,
    published,
    reasoning_gym,
    unanswerable,
    wikitext,
)
from glassmind.pipeline.tasks.task import AnswerTask, Task


def require_task(name: str) -> tuple[Task, str]:
    """The task that a name stands for, and its argument, if it takes one.

    Raises:
        UserError: there is neither such a task nor such a file.
    """
    if name in _TASKS and not _TASKS[name].argument:
        return _TASKS[name], ""
    before, _, argument = name.partition(":")
    if before in _TASKS:
        task = _TASKS[before]
        if not task.argument:
            raise UserError(f"the task {before} takes nothing after its name")
        if not argument:
            raise UserError(f"the task {before} needs a {task.argument}: {before}:{task.argument}")
        if task.argument == "FILE" and not Path(argument).exists():
            raise UserError(f"there is no file {argument} for the task {before}")
        if task.argument == "TASK":
            require_task(argument)
        return task, argument
    if not is_row_file(name):
        raise UserError(
            f"there is no task {name[:80]!r}: it is one of {', '.join(names())}, or a file of "
            f"problems ({', '.join(SUFFIXES)}) or a folder of these"
        )
    if not Path(name).exists():
        raise UserError(f"there is no file of problems {name}")
    return own_file.TASK, name


def require_answer_task(name: str) -> tuple[AnswerTask, str]:
    """The same for a task whose problems are answered.

    Raises:
        UserError: there is no such task, or it is one of multiple choice or of a text.
    """
    task, argument = require_task(name)
    if not isinstance(task, AnswerTask):
        raise UserError(f"the task {name} has no problems that are answered")
    return task, argument


def names() -> list[str]:
    """How every task is called: ``gsm8k``, ``mmlu:FILE``."""
    return [f"{t.name}:{t.argument}" if t.argument else t.name for t in tasks()]


def tasks() -> tuple[Task, ...]:
    """All tasks that have a name."""
    return tuple(_TASKS.values())


_BUILT_IN: tuple[Task, ...] = (
    *generated.TASKS,
    *published.TASKS,
    math_500.TASK,
    multiarith.TASK,
    *perturbed.tasks(require_task),
    countdown.TASK,
    unanswerable.TASK,
    reasoning_gym.TASK,
    mmlu.TASK,
    choices.TASK,
    perplexity.TASK,
    wikitext.TASK,
)
_TASKS: dict[str, Task] = {task.name: task for task in _BUILT_IN}
