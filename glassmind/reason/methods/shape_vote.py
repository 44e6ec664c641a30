"""Adaptive self-consistency that also counts all other answers (Huang et al. 2026, 2602.05395)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from glassmind.reason.adaptive import adaptive_vote
from glassmind.reason.method import Budget, Method, Solution
from glassmind.reason.stopping import shape_confidence
from glassmind.records import Problem

if TYPE_CHECKING:
    from glassmind.reason.session import Session


def solve(problems: Sequence[Problem], session: Session, budget: Budget) -> list[Solution]:
    """The most frequent answer; the posterior over three counts says when to stop."""
    return adaptive_vote(problems, session, budget, shape_confidence)


METHOD = Method(
    name="adaptive-vote-by-shape",
    title="adaptive vote by shape",
    explanation=(
        "Like the adaptive vote, but a prior on how answers spread makes use of all their counts."
    ),
    solve=solve,
    needs=frozenset({"chain"}),
    compared_with=("self-consistency", "adaptive-vote"),
    scales=True,
    in_ladder=False,
)
