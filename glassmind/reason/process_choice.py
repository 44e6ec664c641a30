"""Best of n by process: a verifier's scores of the steps, made one number for a chain.

An outcome verifier judges a chain once, at its end. A process verifier (Lightman et al. 2023, arXiv
2305.20050) judges every step, and there are several ways to make that one number:

    product   the probability that all steps are right, if they fail independently
    min       the weakest step: one wrong step spoils a chain (Wang et al. 2023, 2312.08935)
    last      the judgement of the last step, which has all others in sight (Snell et al. 2024,
              2408.03314)

The product falls with every step, so it prefers short chains.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from glassmind.reason.method import Budget, Solution
from glassmind.reason.vote import answer_keys, best_of
from glassmind.records import Completion, Problem, Trace

if TYPE_CHECKING:
    from glassmind.reason.session import Session

Reduce = Callable[[Sequence[float]], float]
"""From the scores of a chain's steps, at least one, to the chain's own."""


def best_by_process(
    problems: Sequence[Problem], session: Session, budget: Budget, reduce: Reduce
) -> list[Solution]:
    """The answer of the chain with the best steps. A chain without steps counts by its outcome."""
    traces = budget.within(session.judged(problems, budget.samples))
    return [_best(trace, reduce) for trace in traces]


def _best(trace: Trace, reduce: Reduce) -> Solution:
    chains = trace.completions
    best = best_of(chains, [_score(chain, reduce) for chain in chains])
    return Solution.of(None if best is None else answer_keys(chains)[best], trace, best)


def _score(chain: Completion, reduce: Reduce) -> float:
    return reduce(chain.step_scores) if chain.step_scores else chain.score or 0.0
