"""Best of n by the product of the scores of a chain's steps (``reason.process_choice``)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from glassmind.reason.method import Budget, Method, Solution
from glassmind.reason.process_choice import best_by_process
from glassmind.records import Problem

if TYPE_CHECKING:
    from glassmind.reason.session import Session


def solve(problems: Sequence[Problem], session: Session, budget: Budget) -> list[Solution]:
    """The answer of the chain with the best steps."""
    return best_by_process(problems, session, budget, math.prod)


METHOD = Method(
    name="process-product",
    title="best-of-n by product",
    explanation="The answer of the one chain whose steps have the largest product of scores.",
    solve=solve,
    needs=frozenset({"chain", "verifier"}),
    compared_with=("self-consistency", "verifier-best-of-n"),
    scales=True,
    in_ladder=False,
)
