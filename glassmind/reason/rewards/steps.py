"""A process reward from exact checking: the share of steps that are legal moves.

Process rewards usually come from people or from a model (Lightman et al. 2023, arXiv 2305.20050).
If the steps of a problem are single operations, an exact checker can replace them: a step counts if
its equation holds and it and all steps before it can still lead to the answer.
"""

from __future__ import annotations

from glassmind.grade import check_steps
from glassmind.reason.reward import Reward
from glassmind.records import Completion, Problem


def score(problem: Problem, completion: Completion) -> float:
    """The share of valid steps, in [0, 1].

    If the problem's steps cannot be checked as moves, a step counts if its arithmetic is right.
    A completion without steps gets 0.
    """
    checks = check_steps(problem, completion.steps)
    right = [c.arithmetic if c.valid is None else c.valid for c in checks]
    return sum(right) / len(right) if right else 0.0


REWARD = Reward(
    name="steps",
    title="valid steps",
    explanation="The share of steps that are legal moves towards the answer.",
    score=score,
)
