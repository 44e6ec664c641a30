"""Self-consistency of a model that went on to learn from reward (``pipeline.reinforce``).

Learning from reward makes the chains of one question more alike, so a vote over them gains less
than it did before: the report has both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from glassmind.reason.method import Budget, Method, Solution
from glassmind.reason.methods import self_consistency
from glassmind.records import Problem

if TYPE_CHECKING:
    from glassmind.reason.session import Session


def solve(problems: Sequence[Problem], session: Session, budget: Budget) -> list[Solution]:
    """The most frequent answer of the samples."""
    return self_consistency.solve(problems, session.reinforced(), budget)


METHOD = Method(
    name="reinforced-vote",
    title="vote after RL",
    explanation="Chains of the model that has also learned from rewards vote.",
    solve=solve,
    needs=frozenset({"chain", "reinforced"}),
    compared_with=("self-consistency", "reinforced-chain"),
    scales=True,
)
