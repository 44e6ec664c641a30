"""Advantages: how much better a completion is than what was to be expected.

For completion i of a group of G that answer the same question, with K rewards r_ik of weights w_k,
R_i = Σ_k w_k r_ik, and μ and σ the mean and the standard deviation (n - 1, as in PyTorch):

    grpo                  (R_i - μ) / (σ + ε) of the group        Shao et al. 2024, arXiv 2402.03300
    dr-grpo               R_i - μ of the group                    Liu et al. 2025, 2503.20783
    rloo                  R_i - mean of the other G - 1           Ahmadian et al. 2024, 2402.14740
    reinforce++           (R_i - μ) / (σ + ε) of the whole batch  Hu et al. 2025, 2501.03262
    reinforce++-baseline  R_i - μ of the group, then divided by the batch's standard deviation
    gdpo                  Σ_k w_k (r_ik - μ_k) / (σ_k + ε) of the group, then as reinforce++
                                                                  Liu et al. 2026, 2601.05242

*grpo* divides by the spread of the group, so that questions which are nearly always or nearly never
solved count more than others; *dr-grpo* does not. *rloo* is *dr-grpo* times G / (G - 1): its
baseline leaves out the completion itself, which makes the gradient unbiased. *reinforce++* compares
with the whole batch, so a right answer to an easy question counts as much as one to a hard one.
*gdpo* keeps a reward with large numbers from drowning the others; where a reward is the same in the
whole group, its part is 0.

A batch here is all completions of one set of samples, and each counts once, as in trl; verl weighs
completions by their number of tokens instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Advantage = Literal["grpo", "dr-grpo", "rloo", "reinforce++", "reinforce++-baseline", "gdpo"]

EPSILON = 1e-4
"""What is added to a standard deviation before dividing by it, as in trl and verl."""

Floats = NDArray[np.float64]


def advantages(rewards_QGK: NDArray[Any], weights_K: Sequence[float], kind: Advantage) -> Floats:
    """The advantage of each completion, (Q, G): Q questions with G completions of K rewards each.

    If all rewards of a group are equal, its advantages are 0, except with *reinforce++*, which
    does not look at groups.

    Raises:
        ValueError: there is only one completion in a group, where ``kind`` compares within groups.
    """
    rewards = np.asarray(rewards_QGK, np.float64)
    questions, group, _ = rewards.shape
    if group < 2 and kind != "reinforce++":
        raise ValueError(f"{kind} compares a completion with others of its group of {group}")
    total_QG = rewards @ np.asarray(weights_K, np.float64)
    if kind == "grpo":
        return np.stack([standardised(row) for row in total_QG])
    if kind == "reinforce++":
        return standardised(total_QG)
    if kind == "gdpo":
        own = [[standardised(of_one) for of_one in group_GK.T] for group_GK in rewards]
        joint_QG = np.array(own).transpose(0, 2, 1) @ np.asarray(weights_K, np.float64)
        return standardised(joint_QG.reshape(questions, group))
    centred_QG = np.stack([row - row.mean() for row in total_QG])
    if kind == "rloo":
        return centred_QG * (group / (group - 1))
    if kind == "reinforce++-baseline":
        return centred_QG / (_deviation(centred_QG) + EPSILON)
    return centred_QG


def standardised(values: Floats) -> Floats:
    """``values`` with mean 0 and about unit standard deviation; 0 where all are equal."""
    centred: Floats = values - values.mean()
    return centred / (_deviation(values) + EPSILON)


def _deviation(values: Floats) -> float:
    return float(values.std(ddof=1)) if values.size > 1 else 0.0
