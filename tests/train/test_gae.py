"""Generalised advantages against the sum in the paper, and the adaptive weight of a divergence."""

from __future__ import annotations

import numpy as np
import pytest

from glassmind.train.objectives.gae import generalised_advantages
from glassmind.train.objectives.policy.kl_control import next_weight


@pytest.mark.parametrize(("discount", "trace"), [(1.0, 1.0), (0.9, 0.8), (1.0, 0.0), (0.7, 1.0)])
def test_it_is_the_double_sum_of_the_paper(discount: float, trace: float) -> None:
    rng = np.random.default_rng(0)
    for length in (1, 2, 7):
        rewards, values = rng.normal(size=length), rng.normal(size=length)
        after = [*values[1:], 0.0]  # nothing is expected after the end
        expected = [
            sum(
                (discount * trace) ** lag
                * (rewards[t + lag] + discount * after[t + lag] - values[t + lag])
                for lag in range(length - t)
            )
            for t in range(length)
        ]
        found = generalised_advantages(rewards, values, discount=discount, trace=trace)
        assert found == pytest.approx(expected, abs=1e-12)


def test_with_a_trace_of_one_it_is_the_reward_to_come_less_the_value() -> None:
    rewards, values = np.array([0.0, -0.5, 2.0]), np.array([3.0, 1.0, -1.0])
    assert generalised_advantages(rewards, values) == pytest.approx([-1.5, 0.5, 3.0])
    assert generalised_advantages(rewards, values, trace=0.0) == pytest.approx([-2.0, -2.5, 3.0])
    assert generalised_advantages(np.zeros(0), np.zeros(0)).shape == (0,)


def test_the_weight_of_a_divergence_follows_its_target() -> None:
    assert next_weight(0.5, 6.0, 6.0) == 0.5
    assert next_weight(0.5, 6.6, 6.0) == pytest.approx(0.5 * (1 + 0.1 * 0.1))
    assert next_weight(0.5, 600.0, 6.0) == pytest.approx(0.5 * 1.02)  # not more, at once
    assert next_weight(0.5, -3.0, 6.0) == pytest.approx(0.5 * 0.98)
