"""Best of n: the chain that a verifier scores highest (Cobbe et al. 2021, arXiv 2110.14168)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from glassmind.reason.method import Budget, Method, Solution
from glassmind.reason.vote import answer_keys, best_of
from glassmind.records import Problem, Trace

if TYPE_CHECKING:
    from glassmind.reason.session import Session


def solve(problems: Sequence[Problem], session: Session, budget: Budget) -> list[Solution]:
    """The answer of the single best chain."""
    return [_best(trace) for trace in session.judged(problems, budget.samples)]


def _best(trace: Trace) -> Solution:
    chains = trace.completions
    best = best_of(chains, [chain.score or 0.0 for chain in chains])
    return Solution.of(None if best is None else answer_keys(chains)[best], trace, best)


METHOD = Method(
    name="verifier-best-of-n",
    title="verifier best-of-n",
    explanation="The answer of the one chain that the verifier scores highest.",
    solve=solve,
    needs=frozenset({"chain", "verifier"}),
    compared_with=("self-consistency", "log-probability-vote"),
    scales=True,
)
