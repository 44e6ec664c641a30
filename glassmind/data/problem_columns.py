"""What the columns of a file of problems are called."""

from __future__ import annotations

from dataclasses import dataclass

QUESTIONS = ("question", "problem", "prompt")
ANSWERS = ("answer", "final_answer")
SOLUTIONS = ("steps", "solution", "rationale")
"""A column that is not named is the first of these, in any case, in which a row has a value."""


@dataclass(frozen=True)
class ProblemColumns:
    """The columns by their names in the file; empty, they are found."""

    question: str = ""
    answer: str = ""
    solution: str = ""


FOUND = ProblemColumns()
"""All columns are found."""
