"""The outcome reward: 1 for a right final answer, 0 for anything else (Cobbe et al. 2021, arXiv
2110.14168)."""

from __future__ import annotations

from glassmind.grade import grade
from glassmind.reason.reward import Reward
from glassmind.records import Completion, Problem


def score(problem: Problem, completion: Completion) -> float:
    """1 if the answer equals the reference by value; a chain without an answer gets 0."""
    return float(completion.answer is not None and grade(problem.answer, completion.answer))


REWARD = Reward(
    name="answer",
    title="right answer",
    explanation="1 if the final answer is right, else 0.",
    score=score,
)
