r"""Competition problems with LaTeX answers: MATH (Hendrycks et al. 2021, arXiv 2103.03874).

A line is ``{"problem": ..., "level": ..., "type": ..., "solution": ...}``. The answer is the
content of the last ``\boxed{...}`` of the solution, as written: a number, a fraction, an interval,
a matrix or an expression, which ``grade`` compares by value. The solution's sentences are its
steps; they are not single operations, so only the final answer can be checked.
"""

from __future__ import annotations

import re
from pathlib import Path

from glassmind.data.rows.json_lines import json_objects
from glassmind.data.splits import content_key
from glassmind.errors import UserError
from glassmind.grade import extract_answer
from glassmind.grade.numbers import read_number, spelled_answer
from glassmind.records import Problem, Step

# A sentence ends at a full stop before white space and a capital letter or a formula.
_SENTENCE_END = re.compile(r"(?<=[.?!])\s+(?=[A-Z$\\])")


def load_math(path: Path, split: str = "train") -> list[Problem]:
    """The problems of a MATH file.

    ``source`` is ``math/`` and the subject in lower case, ``math/number-theory``.

    Raises:
        UserError: the format is not MATH's; the message names file and line.
    """
    problems = []
    for where, line, row in json_objects(path):
        question, solution = row.get("problem"), row.get("solution")
        if not isinstance(question, str) or not isinstance(solution, str):
            raise UserError(f'{where} needs the texts "problem" and "solution", as MATH has them')
        answer = extract_answer(solution) if "\\boxed" in solution else None
        if answer is None:
            raise UserError(f"{where} has a solution without \\boxed{{...}}, its final answer")
        plain = read_number(answer)
        subject = re.sub(r"[^a-z]+", "-", str(row.get("type", "")).lower()).strip("-")
        problems.append(
            Problem(
                id=f"math-{split}-{line:05d}",
                question=question.strip(),
                answer=answer if plain is None else spelled_answer(plain),
                steps=tuple(Step(text) for text in solution_sentences(solution)),
                source=f"math/{subject}" if subject else "math",
                split=split,
                key=content_key(question.strip()),
            )
        )
    if not problems:
        raise UserError(f"{path} holds no problems; a MATH file has one JSON object per line")
    return problems


def solution_sentences(solution: str) -> list[str]:
    """The solution split into sentences, with white space collapsed."""
    return [" ".join(s.split()) for s in _SENTENCE_END.split(solution) if s.strip()]
