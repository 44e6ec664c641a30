"""Adaptive self-consistency: the vote stops when it is decided (2305.11860)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from glassmind.reason.adaptive import adaptive_vote
from glassmind.reason.method import Budget, Method, Solution
from glassmind.reason.stopping import beta_confidence
from glassmind.records import Problem

if TYPE_CHECKING:
    from glassmind.reason.session import Session


def solve(problems: Sequence[Problem], session: Session, budget: Budget) -> list[Solution]:
    """The most frequent answer of as many samples as it takes to be 95 % sure of the lead."""
    return adaptive_vote(problems, session, budget, beta_confidence)


METHOD = Method(
    name="adaptive-vote",
    title="adaptive vote",
    explanation=(
        "Chains vote one after another until the leading answer is 95 % sure to stay in the lead."
    ),
    solve=solve,
    needs=frozenset({"chain"}),
    compared_with=("self-consistency",),
    scales=True,
)
