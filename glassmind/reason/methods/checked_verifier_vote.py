"""A verifier's vote with exact checking: the verifier judges plans, arithmetic judges equations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from glassmind.reason.method import Budget, Method, Solution
from glassmind.reason.vote import equation_weights, verifier_weights
from glassmind.records import Problem, Trace

if TYPE_CHECKING:
    from glassmind.reason.session import Session


def solve(problems: Sequence[Problem], session: Session, budget: Budget) -> list[Solution]:
    """The answer with the largest weight from the verifier, in chains without a false equation."""
    traces = budget.within(session.judged(problems, budget.samples))
    return [Solution.by_vote(trace, _weights(trace)) for trace in traces]


def _weights(trace: Trace) -> list[float]:
    chains = trace.completions
    pairs = zip(verifier_weights(chains), equation_weights(chains), strict=True)
    return [weight * holds for weight, holds in pairs]


METHOD = Method(
    name="checked-verifier-vote",
    title="checked verifier vote",
    explanation=(
        "The verifier's vote, without the chains in which exact arithmetic finds an error."
    ),
    solve=solve,
    needs=frozenset({"chain", "verifier"}),
    compared_with=("verifier-vote", "self-consistency", "checked-vote"),
    scales=True,
    pointless_with=frozenset({"calculator"}),
)
