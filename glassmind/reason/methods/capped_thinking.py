"""Budget forcing that shortens: at the cap, the answer's marker is forced (arXiv 2501.19393)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from glassmind.reason.budget_forcing import at_most, marks_of
from glassmind.reason.method import Budget, Method, Solution
from glassmind.records import Problem

if TYPE_CHECKING:
    from glassmind.reason.session import Session


def solve(problems: Sequence[Problem], session: Session, budget: Budget) -> list[Solution]:
    """One greedy chain a problem that answers before its tokens run out.

    They are those of the budget, or else the longest reply that is sampled.
    """
    model = session.model("chain")
    tokens = session.plain.max_new_tokens
    if budget.tokens is not None:
        tokens = min(tokens, budget.tokens)
    thinking = at_most(marks_of(model.tokenizer), tokens)
    traces = model.sample(problems, replace(session.plain, thinking=thinking), "chain")
    return [Solution.by_vote(trace) for trace in budget.within(traces)]


METHOD = Method(
    name="capped-thinking",
    title="capped thinking",
    explanation="When the tokens run out, the model is made to answer from the steps it has.",
    solve=solve,
    needs=frozenset({"chain", "thinking"}),
    compared_with=("chain-of-thought",),
    greedy=True,
    in_ladder=False,
)
