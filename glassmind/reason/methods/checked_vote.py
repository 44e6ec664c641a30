"""Self-consistency with exact checking: chains with a false equation do not vote."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from glassmind.reason.method import Budget, Method, Solution
from glassmind.reason.vote import equation_weights
from glassmind.records import Problem

if TYPE_CHECKING:
    from glassmind.reason.session import Session


def solve(problems: Sequence[Problem], session: Session, budget: Budget) -> list[Solution]:
    """The most frequent answer of the samples without a false equation."""
    traces = budget.within(session.samples(problems, budget.samples))
    return [Solution.by_vote(trace, equation_weights(trace.completions)) for trace in traces]


METHOD = Method(
    name="checked-vote",
    title="checked vote",
    explanation="The same chains vote, except those in which exact arithmetic finds an error.",
    solve=solve,
    needs=frozenset({"chain"}),
    compared_with=("self-consistency",),
    scales=True,
    pointless_with=frozenset({"calculator"}),
)
