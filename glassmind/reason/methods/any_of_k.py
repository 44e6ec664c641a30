"""Any of k: whether some sampled chain is right. An upper bound for choosing among them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from glassmind.grade import grade
from glassmind.reason.method import Budget, Method, Solution
from glassmind.reason.vote import vote
from glassmind.records import Problem, Trace

if TYPE_CHECKING:
    from glassmind.reason.session import Session


def solve(problems: Sequence[Problem], session: Session, budget: Budget) -> list[Solution]:
    """The right answer if a sample has it, otherwise none."""
    traces = session.samples(problems, budget.samples)
    return [
        Solution.of(_right(problem, trace), trace)
        for problem, trace in zip(problems, traces, strict=True)
    ]


def _right(problem: Problem, trace: Trace) -> str | None:
    right = [
        c for c in trace.completions if c.answer is not None and grade(problem.answer, c.answer)
    ]
    return vote(right)


METHOD = Method(
    name="any-of-k",
    title="any of k",
    explanation=(
        "Right if any sampled chain is right: a ceiling for every way of choosing, not a method."
    ),
    solve=solve,
    needs=frozenset({"chain", "answers"}),
    compared_with=("self-consistency",),
    scales=True,
    in_summary=True,
)
