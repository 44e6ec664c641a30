"""The verifier's vote over chains of a model that went on to learn from reward.

The verifier is the same as before (``pipeline.reinforce``): it has learned from the chains of the
model that the learning from reward began with.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from glassmind.reason.method import Budget, Method, Solution
from glassmind.reason.methods import verifier_vote
from glassmind.records import Problem

if TYPE_CHECKING:
    from glassmind.reason.session import Session


def solve(problems: Sequence[Problem], session: Session, budget: Budget) -> list[Solution]:
    """The answer whose chains have the largest total weight from the verifier."""
    return verifier_vote.solve(problems, session.reinforced(), budget)


METHOD = Method(
    name="reinforced-verifier-vote",
    title="verifier vote after RL",
    explanation="The same chains vote, each weighted by the verifier's score.",
    solve=solve,
    needs=frozenset({"chain", "verifier", "reinforced"}),
    compared_with=("reinforced-vote", "verifier-vote", "reinforced-chain"),
    scales=True,
    in_summary=True,
)
