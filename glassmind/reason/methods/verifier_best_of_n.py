"""Best of n: the chain that a verifier scores highest (Cobbe et al. 2021, arXiv 2110.14168)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from glassmind.reason.method import Budget, Method, Solution
from glassmind.records import Problem

if TYPE_CHECKING:
    from glassmind.reason.session import Session


def solve(problems: Sequence[Problem], session: Session, budget: Budget) -> list[Solution]:
    """The answer of the single best chain."""
    traces = budget.within(session.judged(problems, budget.samples))
    return [Solution.by_score(trace) for trace in traces]


METHOD = Method(
    name="verifier-best-of-n",
    title="verifier best-of-n",
    explanation="The answer of the one chain that the verifier scores highest.",
    solve=solve,
    needs=frozenset({"chain", "verifier"}),
    compared_with=("self-consistency", "log-probability-vote"),
    scales=True,
)
