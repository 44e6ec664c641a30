"""Program-aided chains that vote by a verifier's scores: arithmetic to the tool, plans to the
verifier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from glassmind.reason.method import Budget, Method, Solution
from glassmind.reason.methods.program_aided import evaluated
from glassmind.reason.vote import verifier_weights
from glassmind.records import Problem, Trace

if TYPE_CHECKING:
    from glassmind.reason.session import Session


def solve(problems: Sequence[Problem], session: Session, budget: Budget) -> list[Solution]:
    """The answer whose evaluated chains have the largest total weight from the verifier.

    Chains that differed only in a wrong result are equal once they are evaluated, and the verifier
    reads equal chains once: it has less to read than without the tool.
    """
    most = max(budget.samples, session.sampled.samples)

    def judge(start: int = 0, stop: int | None = None) -> list[Trace]:
        chains = evaluated(session.samples(problems, most)[start:stop], session)
        return session.judged_traces(problems[start:stop], chains)

    judged = session.searched(f"evaluated-judged-{most}", problems, judge)
    traces = budget.within([trace.first(budget.samples) for trace in judged])
    return [Solution.by_vote(trace, verifier_weights(trace.completions)) for trace in traces]


METHOD = Method(
    name="program-aided-verifier-vote",
    title="program-aided verifier vote",
    explanation="The evaluated chains vote, each weighted by the verifier's score.",
    solve=solve,
    needs=frozenset({"chain", "steps", "verifier"}),
    compared_with=("self-consistency", "verifier-vote", "program-aided"),
    scales=True,
    pointless_with=frozenset({"calculator"}),
)
