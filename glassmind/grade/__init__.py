"""Text → right or wrong.

Read ``numbers`` first (when two spellings are one number), then ``answers`` (finding the answer
in free text and grading it), then ``steps`` (is a written step a legal move?) with the game it
checks against: ``structure`` and ``derivation``; ``arithmetic`` reads the equation of a step.
"""

from __future__ import annotations

from glassmind.grade.answers import extract_answer, grade
from glassmind.grade.derivation import sample_solution
from glassmind.grade.numbers import canonical, parse_number, same_number
from glassmind.grade.steps import StepCheck, check_steps

__all__ = [
    "StepCheck",
    "canonical",
    "check_steps",
    "extract_answer",
    "grade",
    "parse_number",
    "same_number",
    "sample_solution",
]
