r"""The user's own problems from a file of rows: JSONL, JSON, CSV, TSV, parquet, or a folder.

    {"question": "Mia has 3 boxes of 12 pencils ...", "answer": 36,
     "steps": ["pencils: 3*12=36"], "id": "mine-1"}

A row has a question, an answer and optionally a worked solution. Their columns are found by the
usual names (``question`` or ``problem``, ``answer``, ``steps`` or ``solution``, in any case;
``problem_columns`` has them all), or named by ``ProblemColumns``. So the files of GSM8K and MATH
can be read without changes.

* The answer is a number, a text that is one (``"$1,800"``), or any other short text: LaTeX
  (``"\\frac{\\pi}{2}"``), a choice (``"B"``), a name. A text with ``#### 72`` in it is in GSM8K's
  format: a solution and its answer. If the answer is missing, it is taken from the solution's last
  ``\\boxed{...}``, or from the text after ``####``.
* The solution is a list of steps, or a text. Every line of the text is a step; in a text of one
  line, or with LaTeX, every sentence is.
* ``id``, a text, is optional. Problems written by this program have more fields (``source``,
  ``split``, ``key`` and the structure of each step), which are read back.

A file is untrusted: every field is checked, and for a bad row a message says why.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from glassmind.data.problems.column_mapping import (
    ANSWERS,
    FOUND,
    QUESTIONS,
    SOLUTIONS,
    ProblemColumns,
)
from glassmind.data.problems.competition_math import solution_sentences
from glassmind.data.problems.gsm8k import FINAL, worked_sentences
from glassmind.data.rows.bad_rows import Checked, OnBadRow, Row, RowFault, check_rows, silence
from glassmind.data.rows.files import file_rows
from glassmind.data.splits import content_key, deal
from glassmind.errors import UserError
from glassmind.files import atomic_write
from glassmind.grade import extract_answer
from glassmind.grade.numbers import parse_number, read_number, spelled_answer
from glassmind.records import Problem, Step

LONGEST_ANSWER = 1_000
"""A longer answer (in characters) is refused."""


def load_problems(
    path: Path | str,
    columns: ProblemColumns = FOUND,
    *,
    on_bad_row: OnBadRow = "stop",
    say: Callable[[str], object] = silence,
) -> list[Problem]:
    """The problems in a file or folder.

    ``on_bad_row`` ``"skip"`` leaves out bad rows, and calls ``say`` with a message about them.

    Raises:
        UserError: there is no such file, it cannot be read, or holds no problem; or it has bad
            rows: one that is not a JSON object or has no question, an answer that is missing, empty
            or too long, a repeated id. The message lists the first ten, and says how many there
            are.
    """
    problems = check_problems(path, columns).usable(on_bad_row, say)
    if not problems:
        raise UserError(
            f'{path} holds no problems; write one {{"question": ..., "answer": ...}} per line'
        )
    return problems


def check_problems(path: Path | str, columns: ProblemColumns = FOUND) -> Checked[Problem]:
    """The problems and the bad rows. Raises ``UserError`` for a file that cannot be read at all."""
    path = Path(path)
    places: dict[str, str] = {}

    def parse(row: Row) -> Problem:
        problem = _problem(row, columns, path.name)
        if problem.id in places:
            raise RowFault(
                f"has the id {problem.id!r} of {places[problem.id]}; every id must be unique"
            )
        places[problem.id] = row.where
        return problem

    return check_rows(str(path), file_rows(path), parse, _size)


def _size(problem: Problem) -> int:
    return 1000 + len(problem.question) + sum(300 + len(step.text) for step in problem.steps)


def save_problems(problems: Iterable[Problem], path: Path | str) -> None:
    """Write ``problems`` for ``load_problems``, atomically."""
    path = Path(path)
    if not path.parent.is_dir():
        raise UserError(f"cannot write {path}: there is no folder {path.parent}")
    with (
        atomic_write(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="\n") as file,
    ):
        for problem in problems:
            file.write(json.dumps(_row(problem), ensure_ascii=False) + "\n")


class ProblemSplits(NamedTuple):
    """Three lists of problems that share no question."""

    train: list[Problem]
    validation: list[Problem]
    test: list[Problem]


def split_problems(
    problems: Iterable[Problem], seed: int, *, validation: float = 0.1, test: float = 0.1
) -> ProblemSplits:
    """Split problems by a hash of seed and question; the fractions are expected sizes.

    Questions that differ only in case or white space count as one and stay together. Adding
    problems to a file does not move the others.
    """
    if not (validation >= 0 and test >= 0 and validation + test < 1):
        raise UserError(
            f"validation {validation} and test {test} must be fractions that leave some problems "
            "for training"
        )
    return ProblemSplits(
        *deal(problems, lambda problem: problem.question, seed, validation=validation, test=test)
    )


# ---------------------------------------------------------------------------------- a row


class _Cells:
    """The values of a row by their meaning, whatever the file calls their columns."""

    def __init__(self, row: Mapping[str, Any], columns: ProblemColumns) -> None:
        self.row = row
        self.columns = columns
        self._folded = {str(name).strip().casefold(): name for name in row}

    def get(self, what: str, usual: Sequence[str]) -> Any:
        """The value of a column; ``None`` if there is none, or its cell is empty."""
        named: str = getattr(self.columns, what)
        if named:
            if named not in self.row:
                raise RowFault(f"has no column {named!r}; {self.known()}")
            return _present(self.row[named])
        for name in usual:
            value = _present(self.row.get(self._folded.get(name, "")))
            if value is not None:
                return value
        return None

    def has(self, usual: Sequence[str]) -> bool:
        return any(name in self._folded for name in usual)

    def known(self) -> str:
        """The columns of the row, for a message."""
        return f"it has {', '.join(map(repr, self.row))[:200]}" if self.row else "it is empty"


def _present(value: Any) -> Any:
    return None if isinstance(value, str) and not value.strip() else value


def _problem(row: Row, columns: ProblemColumns, source: str) -> Problem:
    if not isinstance(row.values, dict):
        raise RowFault("is not a JSON object with a question and an answer")
    cells = _Cells(row.values, columns)
    question = _question(cells)
    solution = cells.get("solution", SOLUTIONS)
    answer, worked = _answer(cells, solution)
    steps = _steps(solution if solution is not None else worked)
    number = read_number(answer)
    return Problem(
        id=_text(cells, "id", row.name),
        question=question,
        answer=answer if number is None else spelled_answer(number),
        steps=steps,
        source=_text(cells, "source", source),
        split=_text(cells, "split", ""),
        key=_text(cells, "key", content_key(question)),
    )


def _question(cells: _Cells) -> str:
    value = cells.get("question", QUESTIONS)
    if value is None:
        if cells.columns.question or cells.has(QUESTIONS):
            raise RowFault('has an empty "question"')
        raise RowFault(
            f'needs a "question": {cells.known()}; say which it is by --columns question=NAME'
        )
    if not isinstance(value, str):
        raise RowFault('needs a "question" that is a text')
    return _plain(value, "question").strip()


def _answer(cells: _Cells, solution: Any) -> tuple[str, str | None]:
    """The answer as it is written, and the solution if both are in one column."""
    answer = cells.get("answer", ANSWERS)
    if answer is None:
        found = None
        if isinstance(solution, str) and (r"\boxed" in solution or FINAL in solution):
            found = extract_answer(solution)
        if found is None and not (cells.columns.answer or cells.has(ANSWERS)):
            raise RowFault(
                r'needs an "answer", or a "solution" that ends with \boxed{...} or #### 72: '
                f"{cells.known()}; say which it is by --columns answer=NAME"
            )
        if found is None:
            raise RowFault('has an empty "answer"')
        return _short(found), None
    if isinstance(answer, bool) or not isinstance(answer, str | int | float):
        raise RowFault('needs an "answer" that is a number or a text')
    written = _plain(str(answer), "answer").strip()
    if isinstance(answer, float) and parse_number(written) is None:
        raise RowFault('has an "answer" that is not a number a model could write')
    worked, mark, final = written.rpartition(FINAL)
    return (_short(final.strip()), worked) if mark else (_short(written), None)


def _short(answer: str) -> str:
    if not 0 < len(answer) <= LONGEST_ANSWER:
        raise RowFault(f'has an "answer" of {len(answer)} characters, not 1 to {LONGEST_ANSWER}')
    return answer


def _text(cells: _Cells, field: str, default: str) -> str:
    value = cells.row.get(field)
    if value is None or value == "":
        return default
    if not isinstance(value, str):
        raise RowFault(f'has an "{field}" that is not a text')
    return _plain(value, field)


def _plain(text: str, field: str) -> str:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise RowFault(f'has a "{field}" with half a character in it (a lone surrogate)') from None
    return text


def _steps(solution: Any) -> tuple[Step, ...]:
    if solution is None:
        return ()
    if isinstance(solution, str):
        return tuple(_worked(_plain(solution, "solution")))
    if not isinstance(solution, list):
        raise RowFault('has "steps" that are not a list of texts')
    return tuple(map(_step, solution))


def _worked(solution: str) -> Iterable[Step]:
    """The steps of a solution given as one text."""
    solution = solution.partition(FINAL)[0]
    lines = [line for line in solution.splitlines() if line.strip()]
    if "<<" in solution or (len(lines) > 1 and "\\" not in solution):
        return worked_sentences(solution)
    return map(Step, solution_sentences(solution))


def _step(step: object) -> Step:
    """A step given as a text, or as the object ``save_problems`` writes."""
    if isinstance(step, str):
        return Step(_plain(step, "steps"))
    fault = RowFault('has "steps" that are not a list of texts')
    if not isinstance(step, dict):
        raise fault
    operands, uses = step.get("operands", []), step.get("uses", [])
    if not (isinstance(operands, list) and all(isinstance(o, str) for o in operands)):
        raise fault
    if not (isinstance(uses, list) and all(u is None or type(u) is int for u in uses)):
        raise fault
    texts = {name: step.get(name, "") for name in ("text", "operator", "value", "label")}
    if not all(isinstance(text, str) for text in texts.values()):
        raise fault
    return Step(**texts, operands=tuple(operands), uses=tuple(uses))


def _row(problem: Problem) -> dict[str, object]:
    return {
        "id": problem.id,
        "question": problem.question,
        "answer": problem.answer,
        "steps": [_step_row(step) for step in problem.steps],
        "source": problem.source,
        "split": problem.split,
        "key": problem.key,
    }


def _step_row(step: Step) -> str | dict[str, object]:
    """A plain text for a step without structure."""
    if step == Step(step.text):
        return step.text
    return {
        "text": step.text,
        "operator": step.operator,
        "operands": list(step.operands),
        "value": step.value,
        "uses": list(step.uses),
        "label": step.label,
    }
