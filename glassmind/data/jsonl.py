r"""The user's own problems: one JSON object per line.

    {"question": "Mia has 3 boxes of 12 pencils ...", "answer": 36,
     "steps": ["pencils: 3*12=36"], "id": "mine-1"}

``question`` (text) and ``answer`` (a number, or text that is one: ``"$1,800"``) are required,
``steps`` (a list of texts) and ``id`` (text) are optional; blank lines are skipped. Problems
written by this program have more fields (``source``, ``split``, ``key`` and the structure of each
step), which are read back. A file is untrusted: every field is checked, and errors name the line.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from glassmind.data.splits import content_key, deal
from glassmind.errors import UserError
from glassmind.grade.numbers import canonical, parse_number
from glassmind.records import Problem, Step

MAX_LINE = 1_000_000
"""A longer line (in bytes) is refused."""


def load_problems(path: Path | str) -> list[Problem]:
    """The problems in a JSONL file; raises ``UserError`` naming file and line.

    Errors are: no such file, no problem in it, text that is not UTF-8, a line over 1 MB or not a
    JSON object, a field missing or of the wrong type, an answer that is not a number, a repeated
    id.
    """
    path = Path(path)
    problems: list[Problem] = []
    lines: dict[str, int] = {}
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(MAX_LINE + 1):
                number += 1
                where = f"{path} line {number}"
                if len(line) > MAX_LINE:
                    raise UserError(f"{where} is longer than 1 MB; put one problem on each line")
                if not line.strip():
                    continue
                problem = _problem(line, where, f"{path.stem}-{number}", path.name)
                if problem.id in lines:
                    raise UserError(
                        f"{where} has the id {problem.id!r} of line {lines[problem.id]}; "
                        "every id must be used once"
                    )
                lines[problem.id] = number
                problems.append(problem)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    if not problems:
        raise UserError(
            f'{path} holds no problems; write one {{"question": ..., "answer": ...}} a line'
        )
    return problems


def save_problems(problems: Iterable[Problem], path: Path | str) -> None:
    """Write ``problems`` for ``load_problems``, atomically."""
    path = Path(path)
    if not path.parent.is_dir():
        raise UserError(f"cannot write {path}: there is no folder {path.parent}")
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("w", encoding="utf-8", newline="\n") as file:
            for problem in problems:
                file.write(json.dumps(_row(problem), ensure_ascii=False) + "\n")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


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


def _problem(line: bytes, where: str, default_id: str, source: str) -> Problem:
    try:
        row = json.loads(line.decode("utf-8-sig"), parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise UserError(f"{where} is not UTF-8 text; save the file as UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where} is not JSON; each line must be one JSON object") from error
    if not isinstance(row, dict):
        raise UserError(f"{where} is not a JSON object with a question and an answer")
    question = _text(row, "question", where)
    answer = row.get("answer")
    if isinstance(answer, bool) or not isinstance(answer, str | int | float):
        raise UserError(f'{where} needs "answer": a number, or a text that is a number')
    written = str(answer)
    if parse_number(written) is None:
        raise UserError(f"{where} has an answer that is no number: {written[:60]!r}")
    steps = row.get("steps", [])
    if not isinstance(steps, list):
        raise UserError(f'{where} has "steps" that are not a list of texts')
    return Problem(
        id=_text(row, "id", where, default_id),
        question=question,
        answer=canonical(written),
        steps=tuple(_step(step, where) for step in steps),
        source=_text(row, "source", where, source),
        split=_text(row, "split", where, ""),
        key=_text(row, "key", where, content_key(question)),
    )


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _text(row: dict[str, Any], field: str, where: str, default: str | None = None) -> str:
    """A text field: required and not blank where there is no default."""
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
