"""Pairs of a model's own chains: the best and the worst of a group, by a reward.

What a model would never write teaches it little. Preferences between its own samples are about the
choices that it really makes (Guo et al. 2024, arXiv 2402.04792, who draw them anew in every step).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from glassmind.data.preferences.documents import EncodedPreference
from glassmind.errors import UserError
from glassmind.generate import SamplingParams
from glassmind.llm import LocalLLM
from glassmind.progress import Progress, watched
from glassmind.reason.reward import Reward
from glassmind.records import Completion, Problem
from glassmind.runs.recipe import SamplingConfig


def ranked_pair(
    reward: Reward, problem: Problem, group: Sequence[Completion]
) -> tuple[Completion, Completion] | None:
    """The completion with the highest reward and the one with the lowest; the first of each.

    ``None`` if all rewards are equal. Completions without a token are left out.

    Raises:
        UserError: a reward is not a finite number.
    """
    members = [completion for completion in group if completion.token_ids]
    rewards = [reward.score(problem, completion) for completion in members]
    if not all(map(math.isfinite, rewards)):
        raise UserError(
            f"the reward {reward.name} of {problem.id} is not a finite number: {rewards}"
        )
    if not rewards or max(rewards) == min(rewards):
        return None
    best, worst = rewards.index(max(rewards)), rewards.index(min(rewards))
    return members[best], members[worst]


def encoded_pair(
    llm: LocalLLM, problem: Problem, pair: tuple[Completion, Completion]
) -> EncodedPreference:
    """The pair as ids, after the prompt that it was sampled with."""
    prompt = llm.prompt(problem.question, llm.style)
    return EncodedPreference(tuple(prompt), *(completion.token_ids for completion in pair))


def sampled_pairs(
    llm: LocalLLM,
    problems: Sequence[Problem],
    sampling: SamplingConfig,
    reward: Reward,
    *,
    seed: int,
    progress: Progress,
) -> list[EncodedPreference]:
    """A pair for every problem whose chains get different rewards; the same seed and weights give
    the same pairs."""
    params = SamplingParams.of(sampling, seed=seed)
    total = len(problems) * params.samples
    with watched(progress, "sampling pairs", total, "chains") as watch:
        traces = llm.sample(problems, params, llm.style, watch)
    found = [ranked_pair(reward, p, t.completions) for p, t in zip(problems, traces, strict=True)]
    return [
        encoded_pair(llm, problem, pair)
        for problem, pair in zip(problems, found, strict=True)
        if pair is not None
    ]
