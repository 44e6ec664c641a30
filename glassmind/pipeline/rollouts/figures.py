"""The figures of a set of samples, for ``metrics.jsonl``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from glassmind.pipeline.rollouts.groups import Group


def set_figures(
    groups: Sequence[Group], names: Sequence[str], weights: Sequence[float]
) -> dict[str, float]:
    """Means over all completions of ``groups``: everything that was sampled, also groups that
    dynamic sampling then left out.

    ``reward`` is the weighted sum of the rewards ``reward_<name>``; ``solve_rate`` is the share of
    right answers, ``informative`` the share of groups whose rewards differ, ``length`` counts
    tokens, ``truncated`` is the share that was cut at the limit, and ``groups`` how many groups
    there were.
    """
    rewards_NK = np.concatenate([group.rewards_GK for group in groups])
    completions = [completion for group in groups for completion in group.completions]
    figures = {"reward": float((rewards_NK @ np.asarray(weights)).mean())}
    for name, values_N in zip(names, rewards_NK.T, strict=True):
        figures[f"reward_{name}"] = float(values_N.mean())
    right = [right for group in groups for right in group.right]
    cut = [completion.finish == "length" for completion in completions]
    return figures | {
        "solve_rate": float(np.mean(right)),
        "informative": float(np.mean([group.informative(weights) for group in groups])),
        "length": float(np.mean([len(completion.token_ids) for completion in completions])),
        "truncated": float(np.mean(cut)),
        "groups": float(len(groups)),
    }
