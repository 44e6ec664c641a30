"""Pairs of a model's own chains: the best and the worst of a group, by a reward.

What a model would never write teaches it little. Preferences between its own samples are about the
choices that it really makes (Guo et al. 2024, arXiv 2402.04792, who draw them anew in every step).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from glassmind.data.preferences.documents import EncodedPreference
from glassmind.generate import SamplingParams
from glassmind.llm import LocalLLM
from glassmind.pipeline.rollouts.groups import Group
from glassmind.pipeline.rollouts.rewarding import Rewarding
from glassmind.progress import Progress, watched
from glassmind.reason.reward_scoring import SECONDS
from glassmind.reason.reward_sum import parse_reward
from glassmind.records import Problem
from glassmind.runs.recipe import Recipe


def pair_rewarding(llm: LocalLLM, recipe: Recipe) -> Rewarding:
    """The rewards by which ``[preferences]`` of the recipe ranks samples.

    Raises:
        UserError: there is no such reward, or it needs a model that is not there.
    """
    config = recipe.preferences
    return Rewarding.of(
        llm,
        parse_reward(config.reward),
        seconds=SECONDS,
        overlong=0,
        most_tokens=recipe.sampling.max_new_tokens,
        reward_model=config.reward_model,
    )


def ranked_pair(group: Group, weights: Sequence[float]) -> EncodedPreference | None:
    """The completion with the highest reward and the one with the lowest, the first of each;
    ``None`` if all rewards are equal. Completions without a token are left out."""
    totals = group.rewards_GK @ np.asarray(weights)
    members = [
        (total, completion.token_ids)
        for total, completion in zip(totals.tolist(), group.completions, strict=True)
        if completion.token_ids
    ]
    if not members:
        return None
    best = max(members, key=lambda member: member[0])
    worst = min(members, key=lambda member: member[0])
    return None if best[0] == worst[0] else EncodedPreference(group.prompt, best[1], worst[1])


def sampled_pairs(
    llm: LocalLLM,
    problems: Sequence[Problem],
    recipe: Recipe,
    rewarding: Rewarding,
    *,
    seed: int,
    progress: Progress,
) -> list[EncodedPreference]:
    """A pair for every problem whose chains get different rewards; the same seed and weights give
    the same pairs.

    Raises:
        UserError: a reward fails (``reason.reward_scoring``).
    """
    params = SamplingParams.of(recipe.sampling, seed=seed)
    with watched(progress, "sampling pairs", len(problems) * params.samples, "chains") as watch:
        traces = llm.sample(problems, params, llm.style, watch)
    groups = rewarding.groups(problems, traces)
    found = [ranked_pair(group, rewarding.weights) for group in groups]
    return [pair for pair in found if pair is not None]
