r"""The user's own problems: one JSON object per line.

    {"question": "Mia has 3 boxes of 12 pencils ...", "answer": 36,
     "steps": ["pencils: 3*12=36"], "id": "mine-1"}

``question`` (text) and ``answer`` are required. The answer is a number, a text that is one
(``"$1,800"``), or any other short text: LaTeX (``"\\frac{\\pi}{2}"``), a choice (``"B"``), a name.
``steps`` (a list of texts) and ``id`` (text) are optional; blank lines are skipped. Problems
written by this program have more fields (``source``, ``split``, ``key`` and the structure of each
step), which are read back. A file is untrusted: every field is checked, and errors name the line.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from glassmind.data.json_lines import json_objects
from glassmind.data.splits import content_key, deal
from glassmind.errors import UserError
from glassmind.files import atomic_write
from glassmind.grade.numbers import parse_number, read_number, spelled_answer
from glassmind.records import Problem, Step

LONGEST_ANSWER = 1_000
"""A longer answer (in characters) is refused."""


def load_problems(path: Path | str) -> list[Problem]:
    """The problems in a JSONL file; raises ``UserError`` naming file and line.

    Errors are: no such file, no problem in it, text that is not UTF-8, a line over 1 MB or not a
    JSON object, a field missing or of the wrong type, an answer that is empty or too long, a
    repeated id.
    """
    path = Path(path)
    problems: list[Problem] = []
    lines: dict[str, int] = {}
    for where, number, row in json_objects(path):
        problem = _problem(row, where, f"{path.stem}-{number}", path.name)
        if problem.id in lines:
            raise UserError(
                f"{where} has the id {problem.id!r} of line {lines[problem.id]}; "
                "every id must be used once"
            )
        lines[problem.id] = number
        problems.append(problem)
    if not problems:
        raise UserError(
            f'{path} holds no problems; write one {{"question": ..., "answer": ...}} per line'
        )
    return problems


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
    """Three lists that share no question."""

    train: list[Problem]
    validation: list[Problem]
    test: list[Problem]


def split_problems(
    problems: Iterable[Problem], seed: int, *, validation: float = 0.1, test: float = 0.1
) -> ProblemSplits:
    """Split problems by a hash of seed and question; the fractions are expected sizes.

    Questions that differ in case or white space only count as one and stay together, and adding
    problems to a file moves none of the others.
    """
    if not (validation >= 0 and test >= 0 and validation + test < 1):
        raise UserError(
            f"validation {validation} and test {test} must be fractions that leave some problems "
            "for training"
        )
    return ProblemSplits(
        *deal(problems, lambda problem: problem.question, seed, validation=validation, test=test)
    )


def _problem(row: dict[str, object], where: str, default_id: str, source: str) -> Problem:
    question = _text(row, "question", where)
    answer = row.get("answer")
    if isinstance(answer, bool) or not isinstance(answer, str | int | float):
        raise UserError(f'{where} needs "answer": a number or a text')
    written = str(answer).strip()
    if isinstance(answer, float) and parse_number(written) is None:
        raise UserError(f'{where} has an "answer" that is not a number a model could write')
    if not 0 < len(written) <= LONGEST_ANSWER:
        raise UserError(
            f'{where} has an "answer" of {len(written)} characters, not 1 to {LONGEST_ANSWER}'
        )
    steps = row.get("steps", [])
    if not isinstance(steps, list):
        raise UserError(f'{where} has "steps" that are not a list of texts')
    number = read_number(written)
    return Problem(
        id=_text(row, "id", where, default_id),
        question=question,
        answer=written if number is None else spelled_answer(number),
        steps=tuple(_step(step, where) for step in steps),
        source=_text(row, "source", where, source),
        split=_text(row, "split", where, ""),
        key=_text(row, "key", where, content_key(question)),
    )


def _text(row: dict[str, object], field: str, where: str, default: str | None = None) -> str:
    """A text field: required and not blank unless there is a default."""
    value = row.get(field, default)
    if not isinstance(value, str):
        raise UserError(f'{where} needs "{field}": a text')
    if default is None and not value.strip():
        raise UserError(f'{where} has an empty "{field}"')
    return value.strip() if default is None else value


def _step(step: object, where: str) -> Step:
    """A step given as a text, or as the object ``save_problems`` writes."""
    if isinstance(step, str):
        return Step(step)
    fault = UserError(f'{where} has "steps" that are not a list of texts')
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
