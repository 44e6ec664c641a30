"""Any of k: whether some sampled chain is right. An upper bound for choosing among them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from glassmind.grade import grade
from glassmind.reason.method import Budget, Method, Solution
from glassmind.reason.vote import heaviest, vote
from glassmind.records import Problem, Trace

if TYPE_CHECKING:
    from glassmind.reason.session import Session


def solve(problems: Sequence[Problem], session: Session, budget: Budget) -> list[Solution]:
    """The right answer if a sample has it, otherwise none."""
    traces = budget.within(session.samples(problems, budget.samples))
    return [_right(problem, trace) for problem, trace in zip(problems, traces, strict=True)]


def _right(problem: Problem, trace: Trace) -> Solution:
    chains = trace.completions
    right = [c for c in chains if c.answer is not None and grade(problem.answer, c.answer)]
    answer = vote(right)
    return Solution.of(answer, trace, heaviest(chains, answer, [1.0] * len(chains)))


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
