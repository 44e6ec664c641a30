"""The direct answer: no steps, the likeliest tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from glassmind.reason.method import Budget, Method, Solution
from glassmind.records import Problem

if TYPE_CHECKING:
    from glassmind.reason.session import Session


def solve(problems: Sequence[Problem], session: Session, budget: Budget) -> list[Solution]:
    """One greedy answer a problem."""
    traces = budget.within(session.greedy(problems, "direct"))
    return [Solution.by_vote(trace) for trace in traces]


METHOD = Method(
    name="direct",
    title="direct",
    explanation="The model answers at once, without writing steps.",
    solve=solve,
    needs=frozenset({"direct"}),
    greedy=True,
    in_summary=True,
)
