"""A number with its noun: ``1 token``, ``2 tokens``, ``1,800 problems``."""

from __future__ import annotations


def quantity(number: int | float, noun: str) -> str:
    """``number``, with commas between thousands, and ``noun`` in the singular or plural.

    A number that is not whole is rounded, unless it is below ten: ``4.2 tokens``.
    """
    written = f"{number:,.0f}" if number >= 10 or number == int(number) else f"{number:.1f}"
    return f"{written} {noun}{'' if written == '1' else 's'}"
