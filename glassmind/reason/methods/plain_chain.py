"""The chain of thought without the calculator that the other methods have.

It shows what the calculator is worth, and is a method only where chains are sampled with one
(``sampling.calculator``); elsewhere the chain of thought is plain already.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from glassmind.reason.method import Budget, Method, Solution
from glassmind.records import Problem

if TYPE_CHECKING:
    from glassmind.reason.session import Session


def solve(problems: Sequence[Problem], session: Session, budget: Budget) -> list[Solution]:
    """One greedy chain a problem, in which the model computes for itself."""
    plain = session.variant("plain", calculator="off")
    return [Solution.by_vote(trace) for trace in budget.within(plain.greedy(problems))]


METHOD = Method(
    name="plain-chain",
    title="chain, no calculator",
    explanation="The likeliest chain of thought, in which the model does its own arithmetic.",
    solve=solve,
    needs=frozenset({"chain", "calculator"}),
    compared_with=("direct",),
    greedy=True,
)
