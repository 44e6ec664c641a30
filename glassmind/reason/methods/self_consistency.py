"""Self-consistency: sampled chains vote (Wang et al. 2022, arXiv 2203.11171)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from glassmind.reason.method import Budget, Method, Solution
from glassmind.records import Problem

if TYPE_CHECKING:
    from glassmind.reason.session import Session


def solve(problems: Sequence[Problem], session: Session, budget: Budget) -> list[Solution]:
    """The most frequent answer of the samples."""
    traces = budget.within(session.samples(problems, budget.samples))
    return [Solution.by_vote(trace) for trace in traces]


METHOD = Method(
    name="self-consistency",
    title="self-consistency",
    explanation="Many sampled chains vote; the most frequent answer wins.",
    solve=solve,
    needs=frozenset({"chain"}),
    compared_with=("chain-of-thought", "single-sample"),
    scales=True,
    in_summary=True,
)
