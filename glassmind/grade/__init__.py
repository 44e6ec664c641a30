"""Text → right or wrong.

Read ``numbers`` first (when two spellings are one number), then ``answers`` (finding the answer in
free text) and ``equality`` (when two answers are the same: ``grade`` compares with the right
answer, ``equal`` compares two answers of which neither is known to be right). ``forms`` parses
answers that are not plain numbers, after ``typesetting`` has removed markup that only changes how
they look. Formulas are compared in a process that can be killed: ``symbolic`` asks it,
``symbolic_script`` runs there. ``classes`` groups equal answers for a vote.

Then ``steps`` (is a written step a legal move?) with the game it checks against: ``structure`` and
``derivation``; ``arithmetic`` parses the equation of a step. ``chain_checks``, with ``units``,
finds errors in a chain without knowing the right answer, ``provenance`` says where its numbers come
from, ``step_facts`` says both in bits and ``chain_features`` in numbers, for a verifier;
``written_steps`` reads steps in free text, ``support`` finds numbers in them that come from
nowhere, ``programs`` evaluates a chain, or a reply with assignments, as a program, and
``bare_arithmetic`` answers a question that is only a sum.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from glassmind.lazy_names import lazy_names

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

if TYPE_CHECKING:
    from glassmind.grade.answers import extract_answer
    from glassmind.grade.classes import group_answers
    from glassmind.grade.derivation import sample_solution
    from glassmind.grade.equality import equal, grade
    from glassmind.grade.numbers import canonical, parse_number, same_number
    from glassmind.grade.steps import StepCheck, check_steps
    from glassmind.grade.symbolic import Comparisons, comparisons
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "glassmind.grade.answers": ("extract_answer",),
            "glassmind.grade.classes": ("group_answers",),
            "glassmind.grade.derivation": ("sample_solution",),
            "glassmind.grade.equality": ("equal", "grade"),
            "glassmind.grade.numbers": ("canonical", "parse_number", "same_number"),
            "glassmind.grade.steps": ("StepCheck", "check_steps"),
            "glassmind.grade.symbolic": ("Comparisons", "comparisons"),
        },
    )
