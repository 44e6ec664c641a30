"""A learned reward: the score of a reward model (Stiennon et al. 2020, arXiv 2009.01325).

Scores have no scale of their own: only differences between completions of one problem mean
something. A policy that is trained on them long enough finds what the model overrates (Gao et al.
2022, 2210.10760), so hold such a run against a check that it is not trained on.
"""

from __future__ import annotations

from glassmind.reason.reward import Reward
from glassmind.records import REWARD as NAME
from glassmind.records import Completion, Problem


def score(problem: Problem, completion: Completion) -> float:
    """The reward model's score of the whole chain, any number.

    Raises:
        ValueError: the completion has no such score.
    """
    found = completion.nodes[-1].scores.get(NAME) if completion.nodes else None
    if found is None:
        raise ValueError(
            f"completion {completion.sample} of {problem.id} has no score of a reward model"
        )
    return found


REWARD = Reward(
    name="reward-model",
    title="reward model's score",
    explanation="The score of a reward model, which was trained on preferences.",
    score=score,
    needs=frozenset({"reward-model"}),
)
