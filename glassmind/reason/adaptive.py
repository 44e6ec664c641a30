"""Voting that stops when it is decided, for every rule that says when that is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from glassmind.reason.method import Budget, Solution
from glassmind.reason.stopping import Confidence, decided_after
from glassmind.reason.vote import answer_keys
from glassmind.records import Cost, Problem, Trace

if TYPE_CHECKING:
    from glassmind.reason.session import Session

ROUND = 4
"""Chains that are drawn at a time where no others are shared: no vote is decided by fewer."""


def adaptive_vote(
    problems: Sequence[Problem], session: Session, budget: Budget, confidence: Confidence
) -> list[Solution]:
    """One solution per problem, from at most ``budget.samples`` chains.

    If the session's chains are shared with other methods, the vote takes the first of them until it
    is decided, and costs what those cost. Otherwise chains are drawn in rounds, for the problems
    that are still open.
    """
    if session.sampled.samples >= budget.samples:
        traces = [
            trace.first(_decided(trace, confidence) or budget.samples)
            for trace in session.samples(problems, budget.samples)
        ]
    else:
        traces = _in_rounds(problems, session, budget.samples, confidence)
    return [Solution.by_vote(trace) for trace in budget.within(traces)]


def _decided(trace: Trace, confidence: Confidence) -> int | None:
    return decided_after(answer_keys(trace.completions), confidence)


def _in_rounds(
    problems: Sequence[Problem], session: Session, samples: int, confidence: Confidence
) -> list[Trace]:
    drawn: list[list[Trace]] = [[] for _ in problems]
    open_, number = list(range(len(problems))), 0
    while open_ and number < samples:
        count = min(ROUND, samples - number)
        traces = session.round([problems[at] for at in open_], count, number // ROUND)
        for at, trace in zip(open_, traces, strict=True):
            drawn[at].append(trace)
        number += count
        open_ = [at for at in open_ if _decided(_joined(drawn[at]), confidence) is None]
    return [_joined(traces) for traces in drawn]


def _joined(traces: Sequence[Trace]) -> Trace:
    """All chains of a problem; its prompt was read in every round."""
    chains = [completion.nodes for trace in traces for completion in trace.completions]
    prompts = sum((trace.prompt_cost for trace in traces), Cost())
    return Trace.of_chains(traces[0].problem_id, chains, prompts)
