"""Text → right or wrong.

Read ``numbers`` first (when two spellings are one number), then ``answers`` (finding the answer in
free text) and ``equality`` (when two answers are the same: ``grade`` compares with the right
answer, ``equal`` compares two answers of which neither is known to be right). ``forms`` parses
answers that are not plain numbers, after ``typesetting`` has removed markup that only changes how
they look. Formulas are compared in a process that can be killed: ``symbolic`` asks it,
``symbolic_script`` runs there. ``classes`` groups equal answers for a vote.

Then ``steps`` (is a written step a legal move?) with the game it checks against: ``structure`` and
``derivation``; ``arithmetic`` parses the equation of a step.
"""

from __future__ import annotations

from glassmind.grade.answers import extract_answer
from glassmind.grade.classes import group_answers
from glassmind.grade.derivation import sample_solution
from glassmind.grade.equality import equal, grade
from glassmind.grade.numbers import canonical, parse_number, same_number
from glassmind.grade.steps import StepCheck, check_steps
from glassmind.grade.symbolic import Comparisons, comparisons

__all__ = [
    "Comparisons",
    "StepCheck",
    "canonical",
    "check_steps",
    "comparisons",
    "equal",
    "extract_answer",
    "grade",
    "group_answers",
    "parse_number",
    "same_number",
    "sample_solution",
]
