"""The chain of thought of a model that went on to learn from reward (``pipeline.reinforce``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from glassmind.reason.method import Budget, Method, Solution
from glassmind.reason.methods import chain_of_thought
from glassmind.records import Problem

if TYPE_CHECKING:
    from glassmind.reason.session import Session


def solve(problems: Sequence[Problem], session: Session, budget: Budget) -> list[Solution]:
    """One greedy chain a problem."""
    return chain_of_thought.solve(problems, session.reinforced(), budget)


METHOD = Method(
    name="reinforced-chain",
    title="chain after RL",
    explanation="The likeliest chain of the model that has also learned from rewards.",
    solve=solve,
    needs=frozenset({"chain", "reinforced"}),
    compared_with=("chain-of-thought",),
    greedy=True,
    in_summary=True,
)
