"""What of a question can be refused before any model is opened, or torch imported."""

from __future__ import annotations

from glassmind.errors import UserError

LONGEST_QUESTION = 20_000
"""Characters: far beyond what is asked, short of what costs time."""


def check_question(question: str) -> None:
    """Raise ``UserError`` for a question that is empty, or too long for any model."""
    if not question.strip():
        raise UserError("the question is empty: ask something like 'What is 12 times 7?'")
    if len(question) > LONGEST_QUESTION:
        raise UserError(
            f"the question has {len(question)} characters; at most {LONGEST_QUESTION} are read"
        )
