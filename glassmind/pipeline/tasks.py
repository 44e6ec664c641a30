"""The names of the tasks on which a model can be graded. A wrong name is refused without loading
anything."""

from __future__ import annotations

from pathlib import Path

from glassmind.data.problem_sets import PROBLEM_SETS
from glassmind.data.row_files import SUFFIXES, is_row_file
from glassmind.data.splits import Split
from glassmind.errors import UserError

GENERATED: tuple[Split, ...] = ("validation", "test", "longer", "reworded")
TASKS = (*GENERATED, *(task for name in PROBLEM_SETS for task in (name, f"{name}-train")))


def require_task(task: str) -> None:
    """Raise ``UserError`` if ``task`` is neither a task nor an existing file of problems."""
    if task in TASKS:
        return
    if not is_row_file(task):
        raise UserError(
            f"there is no task {task[:80]!r}: it is one of {', '.join(TASKS)}, or a file of "
            f"problems ({', '.join(SUFFIXES)}) or a folder of these"
        )
    if not Path(task).exists():
        raise UserError(f"there is no file of problems {task}")
