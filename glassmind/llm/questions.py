"""Checks of a question that need no model, so that torch is not imported for them."""

from __future__ import annotations

from glassmind.errors import UserError

LONGEST_QUESTION = 20_000
"""Characters: far more than a question has, and few enough to be read quickly."""


def check_question(question: str) -> None:
    """Raise ``UserError`` for a question that is empty, or too long for any model."""
    if not question.strip():
        raise UserError("the question is empty: ask something like 'What is 12 times 7?'")
    if len(question) > LONGEST_QUESTION:
        raise UserError(
            f"the question has {len(question)} characters; it may have at most {LONGEST_QUESTION}"
        )
