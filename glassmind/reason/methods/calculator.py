"""A chain of thought with a calculator: arithmetic computes the results of its equations.

The idea is GSM8K's (Cobbe et al. 2021, arXiv 2110.14168); ``generate.equation_calculator`` does it
for models that were trained without annotations. With ``sampling.calculator``, or ``--calculator``
of ``ask`` and ``eval``, the chains of every other method use it as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from glassmind.reason.method import Budget, Method, Solution
from glassmind.records import Problem

if TYPE_CHECKING:
    from glassmind.reason.session import Session


def solve(problems: Sequence[Problem], session: Session, budget: Budget) -> list[Solution]:
    """One greedy chain a problem, in which results of equations are computed."""
    if session.sampled.calculator_use == "off":  # else all chains have a calculator already
        session = session.variant("calculator", calculator="equations")
    traces = budget.within(session.greedy(problems))
    return [Solution.by_vote(trace) for trace in traces]


METHOD = Method(
    name="chain-with-calculator",
    title="chain with calculator",
    explanation="The likeliest chain of thought, in which arithmetic writes every result.",
    solve=solve,
    needs=frozenset({"chain", "tokens"}),
    compared_with=("chain-of-thought",),
    greedy=True,
    in_ladder=False,
)
