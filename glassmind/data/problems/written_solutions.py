"""Solutions that somebody has written, to be checked: a question, its steps, perhaps a label.

As text, the question comes first, then a blank line, then the solution, one step a line or, if it
has blank lines itself, one step a paragraph. ``Question:`` and ``Solution:`` may stand before them.
As rows (JSONL, or one JSON list), each has ``question`` (or ``problem``) and ``steps`` (a list of
texts, or of objects with ``text`` and ``label`` as in PRM800K, Lightman et al. 2023, arXiv
2305.20050) or ``solution`` (one text). A label is the number of the first wrong step, from 0, or -1
if none is wrong, as in ProcessBench (Zheng et al. 2024, 2412.06559).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from glassmind.data.rows.bad_rows import BadRow, Row
from glassmind.data.rows.files import file_rows
from glassmind.data.rows.json_rows import require_text
from glassmind.data.rows.text_file import read_text
from glassmind.errors import UserError
from glassmind.grade.written_steps import split_steps
from glassmind.tokenize.corpus.documents import plain_suffix

MAX_STEPS = 1_000
"""A solution with more steps is refused."""

MAX_LENGTH = 200_000
"""A question or solution with more characters is refused."""

_BEFORE_QUESTION = re.compile(r"\s*(?:question|problem)\s*:\s*", re.IGNORECASE)
_BEFORE_SOLUTION = re.compile(r"\s*(?:solution|answer|steps)\s*:[ \t]*\n", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class WrittenSolution:
    """A question and the steps of its solution. ``first_wrong`` is the number of the first wrong
    step, from 0, and -1 if all are right; ``None`` if it is not known. ``name`` is for messages."""

    name: str
    question: str
    steps: tuple[str, ...]
    first_wrong: int | None = None


def solution_of_text(text: str, name: str = "the solution") -> WrittenSolution:
    """A question and its solution from one text.

    Raises:
        UserError: there is no question, or nothing after it.
    """
    text = text.replace("\r\n", "\n").strip()
    question, gap, solution = text.partition("\n\n")
    if not gap:
        question, _, solution = text.partition("\n")
    question = _BEFORE_QUESTION.sub("", question, count=1).strip()
    begin = _BEFORE_SOLUTION.match(solution)
    if begin is not None:
        solution = solution[begin.end() :]
    if not question or not solution.strip():
        raise UserError(
            f"{name} must be a question, a blank line, and then the solution, one step a line"
        )
    return _checked(WrittenSolution(name, question, tuple(split_steps(solution))))


def read_solutions(path: Path) -> list[WrittenSolution]:
    """The solutions of a file: rows if its name ends in ``.jsonl`` or ``.json`` (also compressed),
    and otherwise one text.

    Raises:
        UserError: the file cannot be read, or a row cannot be used.
    """
    if plain_suffix(path) in (".jsonl", ".json"):
        return _solutions_of(file_rows(path), str(path))
    return solutions_of_text(read_text(path), str(path))


def solutions_of_text(text: str, name: str) -> list[WrittenSolution]:
    """The solutions in a text that may be either: JSON lines if it begins with a brace.

    Raises:
        UserError: it is neither.
    """
    if text.lstrip().startswith("{"):
        return _solutions_of(_json_lines(text, name), name)
    return [solution_of_text(text, name)]


def _json_lines(text: str, name: str) -> Iterator[Row]:
    for number, line in enumerate(text.splitlines(), 1):
        where = f"{name} line {number}"
        if line.strip():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                raise UserError(f"{where} is not JSON; give one JSON object on each line") from None
            require_text(row, where)
            yield Row(where, f"line {number}", row)


def _solutions_of(rows: Iterable[Row | BadRow], source: str) -> list[WrittenSolution]:
    found = []
    for row in rows:
        if isinstance(row, BadRow):
            raise UserError(str(row))
        found.append(_solution(row))
    if not found:
        raise UserError(f"{source} holds no solution")
    return found


def _solution(row: Row) -> WrittenSolution:
    values = row.values
    if not isinstance(values, dict):
        raise UserError(f"{row.where} is not a JSON object with a question and steps")
    question = values.get("question", values.get("problem"))
    if not isinstance(question, str) or not question.strip():
        raise UserError(f"{row.where} needs a question, as text")
    steps, labels = _steps(values, row.where)
    name = values.get("id", row.name)
    label = _first_wrong(values, labels, len(steps), row.where)
    named = name if isinstance(name, str) else row.name
    return _checked(WrittenSolution(named, question, steps, label), row.where)


def _steps(values: dict[str, object], where: str) -> tuple[tuple[str, ...], list[object]]:
    """The steps, and the labels that stand in them."""
    given = values.get("steps")
    if given is None and isinstance(values.get("solution"), str):
        return tuple(split_steps(str(values["solution"]))), []
    texts, labels = [], []
    for step in given if isinstance(given, list) else ():
        if isinstance(step, dict):
            labels.append(step.get("label"))
            step = step.get("text")
        if not isinstance(step, str):
            raise UserError(f"{where} has a step that is not a text")
        texts.append(step)
    if not texts:
        raise UserError(f"{where} needs steps, a list of texts, or a solution, one text")
    return tuple(texts), labels


def _first_wrong(
    values: dict[str, object], inside: list[object], n_steps: int, where: str
) -> int | None:
    label = values.get("label")
    if label is not None:
        if isinstance(label, bool) or not isinstance(label, int) or not -1 <= label < n_steps:
            raise UserError(
                f"{where} has the label {str(label)[:20]!r}; give the number of the first wrong "
                f"step, from 0 to {n_steps - 1}, or -1"
            )
        return label
    labels = values.get("labels", inside)
    if not labels:
        return None
    if not isinstance(labels, list) or len(labels) != n_steps:
        raise UserError(f"{where} needs one label for each of its {n_steps} steps")
    if any(not isinstance(x, (bool, int)) or x not in (-1, 0, 1) for x in labels):
        raise UserError(f"{where} has labels other than 1 (right), 0 (neutral) and -1 (wrong)")
    # Labels of two kinds are in use: 1 and 0, and 1, 0 and -1, where 0 is neutral.
    wrong = -1 if -1 in labels or inside else 0
    return next((n for n, x in enumerate(labels) if x == wrong), -1)


def _checked(solution: WrittenSolution, where: str = "") -> WrittenSolution:
    where = where or solution.name
    if len(solution.steps) > MAX_STEPS:
        raise UserError(f"{where} has {len(solution.steps)} steps; at most {MAX_STEPS} are read")
    longest = max(len(solution.question), *(len(step) for step in solution.steps))
    if longest > MAX_LENGTH:
        raise UserError(
            f"{where} has a text of {longest} characters; at most {MAX_LENGTH} are read"
        )
    return solution
