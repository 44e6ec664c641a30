"""Budget forcing for methods: which tokens mark the thinking of a model, and how much it gets."""

from __future__ import annotations

from dataclasses import replace

from glassmind.generate.thinking_budget import ThinkingBudget
from glassmind.tokenize import Tokenizer
from glassmind.tokenize.special import ANSWER, END_THINK, STEP

ANSWER_TOKENS = 12
"""Room that is left for an answer where the thinking is cut: its markers, a number, the end."""


def thinking_marks(tokenizer: Tokenizer | None) -> ThinkingBudget | None:
    """An unlimited budget with the tokens that mark a model's thinking; ``None`` if it has none.

    Our own format has them; models of free text do not.
    """
    special = {} if tokenizer is None else tokenizer.special
    if not {STEP, END_THINK, ANSWER} <= special.keys():
        return None
    end, answer = special[END_THINK], special[ANSWER]
    return ThinkingBudget(frozenset({end, answer}), (end, answer), special[STEP])


def marks_of(tokenizer: Tokenizer | None) -> ThinkingBudget:
    """``thinking_marks`` of a model that is known to have them."""
    marks = thinking_marks(tokenizer)
    if marks is None:
        raise ValueError("this model does not mark the end of its thinking")
    return marks


def at_least(marks: ThinkingBudget, steps: int) -> ThinkingBudget:
    """Thinking that does not end before ``steps`` steps."""
    return replace(marks, least_steps=steps)


def at_most(marks: ThinkingBudget, tokens: int) -> ThinkingBudget:
    """Thinking after which the answer ends within ``tokens`` tokens, if it is a short one."""
    return replace(marks, most_tokens=max(0, tokens - ANSWER_TOKENS))
