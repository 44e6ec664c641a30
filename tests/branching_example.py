"""A made-up example of a search, for the report to draw."""

from __future__ import annotations

from typing import Any


def tree_json() -> dict[str, Any]:
    """An example of a search: two roots, one of which branches twice; a tool wrote a result."""

    def node(parent: int | None, text: str, **more: Any) -> dict[str, Any]:
        return {"parent": parent, "kind": "step", "text": text, **more}

    def answer(parent: int, given: str, correct: bool, score: float) -> dict[str, Any]:
        return {"parent": parent, "kind": "answer", "text": given, "answer": given,
                "correct": correct, "score": score}  # fmt: skip

    return {
        "question": "Mia has 4 boxes of 12 pencils and gives 6 away. How many are left?",
        "answer": "42", "gold_steps": ["pencils: 4*12=48", "left: 48-6=42"],
        "method": "step-beam", "solved": True, "vote": {"42": 2, "54": 1, "10": 1},
        "answers": {"step-beam": "42"},
        "nodes": [
            node(None, "pencils: 4*12=", step_score=0.9, closed=False),
            node(0, "48", author="tool", step_score=0.93, valid=True),
            node(1, "left: 48-6=42", step_score=0.96, valid=True),
            answer(2, "42", True, 0.97),
            node(1, "left: 48+6=54", step_score=0.2, valid=False),
            answer(4, "54", False, 0.1),
            node(1, "given: 6", step_score=0.6),
            node(6, "left: 48-6=42", step_score=0.8, valid=True),
            answer(7, "42", True, 0.85),
            node(6, "the rest is blue", step_score=0.05),
            node(None, "left: 4+12-6=10", step_score=0.3, valid=False),
            answer(10, "10", False, 0.02),
        ],
    }  # fmt: skip
