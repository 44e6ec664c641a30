"""Questions with a few given answers, of which one is right: MMLU's files, and any like them.

    {"question": "...", "choices": ["3", "4", "5"], "answer": 1}              JSON, JSONL, parquet
    {"question": "...", "choices": ["3", "4", "5"], "answer": "B", "subject": "algebra"}
    a question,3,4,5,6,B                                     MMLU's CSV, which has no heading line

(MMLU: Hendrycks et al. 2021, arXiv 2009.03300.) The right answer is given by its number, counted
from 0, by its letter, or by its text. ARC's format, where ``choices`` is an object with the lists
``text`` and ``label``, is read, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glassmind.data.rows.bad_rows import BadRow, OnBadRow, Row, RowFault, check_rows, silence
from glassmind.data.rows.files import file_rows
from glassmind.errors import UserError

LETTERS = "ABCDEFGHIJ"
MMLU_COLUMNS = 6
"""Of MMLU's CSV: the question, four choices, the letter of the right one."""

LONGEST = 100_000  # characters of a question with its choices


@dataclass(frozen=True, slots=True)
class ChoiceQuestion:
    """A question with its ``choices``, of which ``choices[right]`` is right."""

    id: str
    question: str
    choices: tuple[str, ...]
    right: int
    subject: str = ""


def load_choices(
    path: Path, *, on_bad_row: OnBadRow = "stop", say: Any = silence
) -> list[ChoiceQuestion]:
    """The questions of a file.

    Raises:
        UserError: it cannot be read or holds no question, or a row has no question, fewer than two
            choices, or no right one.
    """
    checked = check_rows(str(path), _rows(path), _question, lambda q: 500 + len(q.question))
    found = checked.usable(on_bad_row, say)
    if not found:
        raise UserError(f"{path} holds no questions with choices")
    return found


def _rows(path: Path) -> list[Row | BadRow]:
    """The rows; a table whose first line is MMLU's has no heading line."""
    rows = list(file_rows(path, named=False)) if ".csv" in path.suffixes else []
    first = rows[0].values if rows and isinstance(rows[0], Row) else {}
    if len(first) == MMLU_COLUMNS and str(first["6"]).strip() in LETTERS[:4]:
        return rows
    return list(file_rows(path))


def _question(row: Row) -> ChoiceQuestion:
    values = row.values
    if not isinstance(values, dict):
        raise RowFault("is not an object with a question and choices")
    if set(values) == {str(n) for n in range(1, MMLU_COLUMNS + 1)}:
        values = {
            "question": values["1"],
            "choices": [values[str(n)] for n in range(2, MMLU_COLUMNS)],
            "answer": values[str(MMLU_COLUMNS)].strip(),
        }
    question = values.get("question")
    if not isinstance(question, str) or not question.strip():
        raise RowFault('needs a "question" that is a text')
    given: object = values.get("choices")
    labels: object = list(LETTERS)
    if isinstance(given, dict):  # ARC's format
        labels, given = given.get("label"), given.get("text")
    if not (isinstance(given, list) and 2 <= len(given) <= len(LETTERS)):
        raise RowFault(f'needs "choices": a list of 2 to {len(LETTERS)} texts')
    choices = tuple(str(choice).strip() for choice in given)
    if not all(choices) or len(question) + sum(map(len, choices)) > LONGEST:
        raise RowFault(f"has an empty choice, or more than {LONGEST} characters")
    answer = values.get("answer", values.get("answerKey"))
    subject = values.get("subject", "")
    return ChoiceQuestion(
        str(values.get("id") or row.name),
        question.strip(),
        choices,
        _right(answer, choices, labels),
        subject if isinstance(subject, str) else "",
    )


def _right(answer: object, choices: Sequence[str], labels: object) -> int:
    if isinstance(answer, int) and not isinstance(answer, bool) and 0 <= answer < len(choices):
        return answer
    if isinstance(answer, str):
        text = answer.strip()
        for names in (labels, choices):
            if isinstance(names, (list, tuple)) and text in names[: len(choices)]:
                return names.index(text)
        if text.isdecimal() and int(text) < len(choices):
            return int(text)
    raise RowFault('needs an "answer": the number (from 0), letter or text of the right choice')
