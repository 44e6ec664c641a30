"""A vote weighted by the model itself: how likely it finds each of its chains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from glassmind.reason.method import Budget, Method, Solution
from glassmind.reason.vote import logprob_weights
from glassmind.records import Problem

if TYPE_CHECKING:
    from glassmind.reason.session import Session


def solve(problems: Sequence[Problem], session: Session, budget: Budget) -> list[Solution]:
    """The answer whose chains have the largest total probability."""
    traces = budget.within(session.samples(problems, budget.samples))
    return [Solution.by_vote(trace, logprob_weights(trace.completions)) for trace in traces]


METHOD = Method(
    name="log-probability-vote",
    title="log-probability vote",
    explanation="The same chains vote, each weighted by how likely the model finds it.",
    solve=solve,
    needs=frozenset({"chain"}),
    compared_with=("self-consistency",),
    scales=True,
)
