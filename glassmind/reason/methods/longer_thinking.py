"""Budget forcing that lengthens: the end of thinking is suppressed once (arXiv 2501.19393)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from glassmind.reason.budget_forcing import at_least, marks_of
from glassmind.reason.method import Budget, Method, Solution
from glassmind.records import Problem, Trace

if TYPE_CHECKING:
    from glassmind.reason.session import Session


def solve(problems: Sequence[Problem], session: Session, budget: Budget) -> list[Solution]:
    """One greedy chain a problem, with at least one step more than the model would have written.

    Up to the suppressed end it is the plain greedy chain, so that chain costs nothing extra.
    """
    model = session.model("chain")
    marks = marks_of(model.tokenizer)
    found: dict[int, Trace] = {}
    lengths = [len(trace.completions[0].steps) for trace in session.greedy(problems)]
    for length in sorted(set(lengths)):
        numbers = [number for number, own in enumerate(lengths) if own == length]
        params = replace(session.plain, thinking=at_least(marks, length + 1))
        traces = model.sample([problems[number] for number in numbers], params, "chain")
        found |= dict(zip(numbers, traces, strict=True))
    traces = budget.within([found[number] for number in range(len(problems))])
    return [Solution.by_vote(trace) for trace in traces]


METHOD = Method(
    name="longer-thinking",
    title="longer thinking",
    explanation="Where the model would end its steps, it has to write at least one more.",
    solve=solve,
    needs=frozenset({"chain", "thinking"}),
    compared_with=("chain-of-thought",),
    greedy=True,
    in_ladder=False,
)
