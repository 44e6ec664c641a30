"""A single sample: how accurate one of the voting chains is alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from glassmind.reason.method import Budget, Method, Solution
from glassmind.records import Problem

if TYPE_CHECKING:
    from glassmind.reason.session import Session


def solve(problems: Sequence[Problem], session: Session, budget: Budget) -> list[Solution]:
    """The first of the sampled chains."""
    traces = budget.within(session.samples(problems, 1))
    return [Solution.by_vote(trace) for trace in traces]


METHOD = Method(
    name="single-sample",
    title="single sample",
    explanation="One chain of thought drawn at random from the model's own probabilities.",
    solve=solve,
    needs=frozenset({"chain"}),
    compared_with=("chain-of-thought",),
)
