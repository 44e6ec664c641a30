"""The names of the columns in a file of problems."""

from __future__ import annotations

from dataclasses import dataclass

QUESTIONS = ("question", "problem", "prompt")
ANSWERS = ("answer", "final_answer")
SOLUTIONS = ("steps", "solution", "rationale")
"""If a column is not named, the first of these in which a row has a value is used, in any case."""


@dataclass(frozen=True)
class ProblemColumns:
    """The names of the columns in the file; those left empty are found by their usual names."""

    question: str = ""
    answer: str = ""
    solution: str = ""


FOUND = ProblemColumns()
"""All columns are found by their usual names."""
