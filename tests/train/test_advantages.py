"""Advantages against their formulas, written with the standard library."""

from __future__ import annotations

from statistics import fmean, stdev
from typing import get_args

import numpy as np
import pytest

from glassmind.train.objectives.policy.advantages import EPSILON, Advantage, advantages

REWARDS = [  # three questions, four completions, two rewards of very different size
    [[1.0, 10.0], [0.0, 30.0], [1.0, 20.0], [0.0, 20.0]],
    [[1.0, 5.0], [1.0, 6.0], [1.0, 9.0], [1.0, 4.0]],
    [[0.0, 7.0], [0.0, 7.0], [1.0, 7.0], [0.0, 7.0]],
]
WEIGHTS = (1.0, 0.1)


def whitened(values: list[list[float]]) -> list[list[float]]:
    flat = [x for row in values for x in row]
    return [[(x - fmean(flat)) / (stdev(flat) + EPSILON) for x in row] for row in values]


def formula(kind: Advantage) -> list[list[float]]:
    total = [[sum(w * r for w, r in zip(WEIGHTS, one, strict=True)) for one in group]
             for group in REWARDS]  # fmt: skip
    if kind == "grpo":
        return [[(r - fmean(row)) / (stdev(row) + EPSILON) for r in row] for row in total]
    if kind == "dr-grpo":
        return [[r - fmean(row) for r in row] for row in total]
    if kind == "rloo":
        return [[r - fmean(row[:i] + row[i + 1 :]) for i, r in enumerate(row)] for row in total]
    if kind == "reinforce++":
        return whitened(total)
    if kind == "reinforce++-baseline":
        centred = [[r - fmean(row) for r in row] for row in total]
        spread = stdev([x for row in centred for x in row])
        return [[x / (spread + EPSILON) for x in row] for row in centred]
    summed = []
    for group in REWARDS:
        parts = []
        for k, weight in enumerate(WEIGHTS):
            own = [one[k] for one in group]
            parts.append([weight * (r - fmean(own)) / (stdev(own) + EPSILON) for r in own])
        summed.append([sum(column) for column in zip(*parts, strict=True)])
    return whitened(summed)


@pytest.mark.parametrize("kind", get_args(Advantage))
def test_advantages_are_the_papers(kind: Advantage) -> None:
    found = advantages(np.array(REWARDS), WEIGHTS, kind)
    np.testing.assert_allclose(found, formula(kind), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", get_args(Advantage))
def test_equal_rewards_teach_nothing(kind: Advantage) -> None:
    same = np.full((2, 3, 2), 0.7)
    np.testing.assert_allclose(advantages(same, WEIGHTS, kind), 0.0, atol=1e-9)


def test_a_reward_that_is_the_same_in_a_group_takes_no_part_in_gdpo() -> None:
    """With equal answers, the second reward decides alone, whatever its weight."""
    rewards = np.array([[[1.0, 0.0], [1.0, 1.0], [1.0, 0.0], [1.0, 1.0]]])
    heavy, light = (advantages(rewards, (1.0, w), "gdpo") for w in (5.0, 0.5))
    np.testing.assert_allclose(heavy, light, rtol=1e-3)
    assert heavy[0, 0] < 0 < heavy[0, 1]


def test_a_group_of_one_has_nothing_to_be_compared_with() -> None:
    alone = np.array([[[1.0]], [[0.0]]])
    for kind in ("grpo", "rloo", "gdpo"):
        with pytest.raises(ValueError, match="group of 1"):
            advantages(alone, (1.0,), kind)  # type: ignore[arg-type]
    assert advantages(alone, (1.0,), "reinforce++")[0, 0] > 0
