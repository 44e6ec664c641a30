"""Questions that cannot be answered, among others that can: UMWP.

The set is that of Sun et al. (2024, arXiv 2403.03558). A line is ``{"question": ..., "answer":
..., "answerable": true}``. Half of the questions are word problems from which something was taken
that the answer needs. Their right answer is to say so. The file holds all answerable questions
first, so the problems are put into an order that depends on their content alone, and any number of
the first ones is a fair mixture.
"""

from __future__ import annotations

import re
from pathlib import Path

from glassmind.data.rows.bad_rows import Row, RowFault, check_rows
from glassmind.data.rows.files import file_rows
from glassmind.data.splits import content_key
from glassmind.errors import UserError
from glassmind.grade.numbers import canonical, parse_number
from glassmind.records import Problem

UNANSWERABLE = "unanswerable"
"""The right answer to a question that cannot be answered."""

_ABSTAINS = re.compile(
    r"\b(?:unanswerable|not answerable|cannot be (?:answered|determined|solved|calculated|found)"
    r"|can't be (?:answered|determined|solved)|impossible to (?:answer|determine|say|tell|know)"
    r"|not enough information|insufficient information|unknown)\b|n['o]t have enough information\b",
    re.IGNORECASE,
)
_LONGEST = 20_000  # characters at the end of a reply that are searched


def abstains(reply: str) -> bool:
    """Whether a reply says that the question cannot be answered. Only what follows the last blank
    line, and at least the last two lines, counts: a chain of thought may consider it and go on."""
    lines = [line for line in reply[-_LONGEST:].splitlines() if line.strip()]
    return bool(_ABSTAINS.search("\n".join(lines[-2:])))


def load_unanswerable(path: Path) -> list[Problem]:
    """The problems of a file in this format.

    Raises:
        UserError: the file cannot be read, or has a row of another format.
    """
    checked = check_rows(str(path), file_rows(path), _problem, lambda p: 500 + len(p.question))
    problems = checked.usable("stop", lambda _: None)
    if not problems:
        raise UserError(f"{path} holds no problems")
    return sorted(problems, key=lambda problem: problem.key)


def _problem(row: Row) -> Problem:
    values = row.values
    if not isinstance(values, dict):
        raise RowFault("is not a JSON object")
    question, can = values.get("question"), values.get("answerable")
    if not isinstance(question, str) or not question.strip() or not isinstance(can, bool):
        raise RowFault(
            'needs a "question" that is a text and an "answerable" that is true or false'
        )
    answer = UNANSWERABLE
    if can:
        number = parse_number(str(values.get("answer", "")))
        answer = canonical(number) if number is not None else str(values.get("answer", ""))[:200]
        if not answer:
            raise RowFault('is answerable and needs an "answer"')
    question = " ".join(question.split())
    return Problem(
        id=row.name,
        question=question,
        answer=answer,
        source="umwp",
        split="test",
        key=content_key(question),
    )
