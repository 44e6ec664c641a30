"""Chain of thought: steps first, then the answer (Wei et al. 2022, arXiv 2201.11903)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from glassmind.reason.method import Budget, Method, Solution
from glassmind.records import Problem

if TYPE_CHECKING:
    from glassmind.reason.session import Session


def solve(problems: Sequence[Problem], session: Session, budget: Budget) -> list[Solution]:
    """One greedy chain a problem."""
    traces = budget.within(session.greedy(problems))
    return [Solution.by_vote(trace) for trace in traces]


METHOD = Method(
    name="chain-of-thought",
    title="chain of thought",
    explanation="The model writes its steps first and always takes the likeliest token.",
    solve=solve,
    needs=frozenset({"chain"}),
    compared_with=("direct", "plain-chain"),
    greedy=True,
    in_summary=True,
)
