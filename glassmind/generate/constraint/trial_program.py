"""Compiles grammars in a worker process; ``trial`` starts it.

The tokenizer has a token per byte: what a grammar costs to compile hardly depends on the
vocabulary, and this one is made at once.
"""

from __future__ import annotations

from typing import Any

from llguidance import LLMatcher, LLParserLimits, LLTokenizer

_TOKENS = LLTokenizer("byte")


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Compiles ``grammar`` and forgets it."""
    limits = LLParserLimits(
        initial_lexer_fuel=request["fuel"], max_lexer_states=request["states"], verbose_errors=False
    )
    LLMatcher(_TOKENS, request["grammar"], log_level=0, limits=limits)
    return {"compiled": True}
