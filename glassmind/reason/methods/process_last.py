"""Best of n by the score of a chain's last step (``reason.process_choice``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from glassmind.reason.method import Budget, Method, Solution
from glassmind.reason.process_choice import best_by_process
from glassmind.records import Problem

if TYPE_CHECKING:
    from glassmind.reason.session import Session


def solve(problems: Sequence[Problem], session: Session, budget: Budget) -> list[Solution]:
    """The answer of the chain with the best steps."""
    return best_by_process(problems, session, budget, lambda scores: scores[-1])


METHOD = Method(
    name="process-last",
    title="best-of-n by last step",
    explanation="The answer of the one chain whose last step has the highest score.",
    solve=solve,
    needs=frozenset({"chain", "verifier"}),
    compared_with=("self-consistency", "verifier-best-of-n"),
    scales=True,
    in_ladder=False,
)
