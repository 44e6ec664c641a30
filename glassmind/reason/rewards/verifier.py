"""A learned reward: the verifier's probability that the chain is right (Cobbe et al. 2021, arXiv
2110.14168)."""

from __future__ import annotations

from glassmind.reason.reward import Reward
from glassmind.records import Completion, Problem


def score(problem: Problem, completion: Completion) -> float:
    """The verifier's score of the whole chain, in [0, 1].

    Raises:
        ValueError: the completion has no verifier's score.
    """
    if completion.score is None:
        raise ValueError(f"completion {completion.sample} of {problem.id} has no verifier's score")
    return completion.score


REWARD = Reward(
    name="verifier",
    title="verifier's score",
    explanation="The verifier's probability that the whole chain is right.",
    score=score,
    needs=frozenset({"verifier"}),
)
