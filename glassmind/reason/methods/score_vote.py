"""A vote weighted by the verifier's score itself (Montgomery et al. 2025, arXiv 2510.14913).

The paper calls it weighted self-consistency: the total score of an answer's chains decides. The
verifier's vote takes the odds of the score, which favour chains of which the verifier is sure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from glassmind.reason.method import Budget, Method, Solution
from glassmind.reason.vote import score_weights
from glassmind.records import Problem

if TYPE_CHECKING:
    from glassmind.reason.session import Session


def solve(problems: Sequence[Problem], session: Session, budget: Budget) -> list[Solution]:
    """The answer whose chains have the largest total score."""
    traces = budget.within(session.judged(problems, budget.samples))
    return [Solution.by_vote(trace, score_weights(trace.completions)) for trace in traces]


METHOD = Method(
    name="score-vote",
    title="score vote",
    explanation="The same chains vote, and the verifier's scores of an answer's chains add up.",
    solve=solve,
    needs=frozenset({"chain", "verifier"}),
    compared_with=("self-consistency", "verifier-vote"),
    scales=True,
    in_ladder=False,
)
