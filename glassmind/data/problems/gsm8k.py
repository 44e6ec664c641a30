"""Real grade-school problems: the GSM8K files (Cobbe et al. 2021, arXiv 2110.14168).

A line is ``{"question": ..., "answer": ...}``. The answer is a solution with one sentence per line,
calculator annotations such as ``<<48/2=24>>`` in the text, and a last line ``#### 72``. The
annotations are removed from the text; one that is a single binary operation fills the step's
structured fields. The files do not say which earlier result an operand came from, so ``uses`` is
empty and only the arithmetic of a step can be checked.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from glassmind.data.rows.json_lines import json_objects
from glassmind.data.splits import content_key
from glassmind.errors import UserError
from glassmind.grade.numbers import canonical, parse_number
from glassmind.records import Problem, Step

_ANNOTATION = re.compile(r"<<([^<>=]{1,200})=([^<>=]{1,40})>>")
_BINARY = re.compile(r"\s*([0-9]*\.?[0-9]+)\s*([+\-*/])\s*([0-9]*\.?[0-9]+)\s*")
FINAL = "####"
"""What stands before the final answer."""

_SPACES = re.compile(r"\s+")


def load_gsm8k(
    path: Path | str, split: Literal["train", "valid"] = "train", *, equations: bool = False
) -> list[Problem]:
    """The problems of a GSM8K file.

    A step's text is the sentence, or with ``equations`` only the annotated equation (sentences
    without one are then left out).

    Raises:
        UserError: the format is not GSM8K's; it names file and line.
    """
    problems = [
        _problem(row, where, f"gsm8k-{split}-{number:05d}", split, equations)
        for where, number, row in json_objects(Path(path))
    ]
    if not problems:
        raise UserError(f"{path} holds no problems; a GSM8K file has one JSON object per line")
    return problems


def _problem(
    row: dict[str, object], where: str, problem_id: str, split: str, equations: bool
) -> Problem:
    question, solution = row.get("question"), row.get("answer")
    if not isinstance(question, str) or not isinstance(solution, str):
        raise UserError(f'{where} needs the texts "question" and "answer", as GSM8K has them')
    worked, mark, final = solution.rpartition(FINAL)
    if not mark or parse_number(final.strip()) is None:
        raise UserError(f"{where} has an answer that does not end in {FINAL} and a number")
    question = _SPACES.sub(" ", question).strip()
    return Problem(
        id=problem_id,
        question=question,
        answer=canonical(final.strip()),
        steps=_equations(worked) if equations else worked_sentences(worked),
        source="gsm8k",
        split=split,
        key=content_key(question),
    )


def worked_sentences(worked: str) -> tuple[Step, ...]:
    """One step per line of the solution; its structure comes from the line's last annotation."""
    steps = []
    for line in worked.splitlines():
        text = _SPACES.sub(" ", _ANNOTATION.sub("", line)).strip()
        if text:
            found = _ANNOTATION.findall(line)
            steps.append(_step(text, *found[-1]) if found else Step(text))
    return tuple(steps)


def _equations(worked: str) -> tuple[Step, ...]:
    """One step per annotation; its text is the annotated equation alone."""
    return tuple(
        _step(f"{left.strip()}={right.strip()}", left, right)
        for left, right in _ANNOTATION.findall(worked)
    )


def _step(text: str, left: str, right: str) -> Step:
    """A step, with its parts filled in if the annotation is one binary operation."""
    binary = _BINARY.fullmatch(left)
    if binary is None or parse_number(right.strip()) is None:
        return Step(text)
    return Step(
        text=text,
        operator=binary[2],
        operands=(binary[1], binary[3]),
        value=canonical(right.strip()),
    )
