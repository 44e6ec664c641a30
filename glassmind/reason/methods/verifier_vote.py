"""A vote weighted by a verifier's scores (Li et al. 2022, arXiv 2206.02336)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from glassmind.reason.method import Budget, Method, Solution
from glassmind.reason.vote import verifier_weights
from glassmind.records import Problem

if TYPE_CHECKING:
    from glassmind.reason.session import Session


def solve(problems: Sequence[Problem], session: Session, budget: Budget) -> list[Solution]:
    """The answer whose chains have the largest total weight from the verifier."""
    traces = budget.within(session.judged(problems, budget.samples))
    return [Solution.by_vote(trace, verifier_weights(trace.completions)) for trace in traces]


METHOD = Method(
    name="verifier-vote",
    title="verifier vote",
    explanation="The same chains vote, each weighted by the verifier's score.",
    solve=solve,
    needs=frozenset({"chain", "verifier"}),
    compared_with=("self-consistency", "log-probability-vote", "chain-of-thought"),
    scales=True,
    in_summary=True,
)
