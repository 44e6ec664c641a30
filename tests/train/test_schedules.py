"""Learning-rate schedules: warm-up, where they peak and where they end."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glassmind.train.optimizers.schedules import learning_rate_factor


def factors(schedule: Any, total: int, warmup: int, decay_fraction: float) -> list[float]:
    return [
        learning_rate_factor(
            step, total, schedule=schedule, warmup=warmup, decay_fraction=decay_fraction
        )
        for step in range(total)
    ]


@pytest.mark.parametrize("schedule", ["cosine", "stable-decay"])
def test_warm_up_is_linear(schedule: Any) -> None:
    assert factors(schedule, 100, 4, 0.5)[:5] == [0.25, 0.5, 0.75, 1.0, 1.0]


def test_cosine_is_half_a_cosine() -> None:
    found = factors("cosine", 110, 10, 0.5)
    for step in range(10, 110):
        assert found[step] == pytest.approx((1 + math.cos(math.pi * (step - 10) / 100)) / 2)


def test_stable_decay_holds_then_falls_linearly() -> None:
    found = factors("stable-decay", 100, 10, 0.4)
    assert found[9:61] == [1.0] * 52
    for step in range(60, 100):
        assert found[step] == pytest.approx((100 - step) / 40)
    assert factors("stable-decay", 100, 0, 0.0) == [1.0] * 100


@given(
    st.sampled_from(["cosine", "stable-decay"]),
    st.integers(1, 300),
    st.integers(0, 400),
    st.floats(0, 1),
)
def test_every_factor_is_positive_and_at_most_one(
    schedule: str, total: int, warmup: int, decay_fraction: float
) -> None:
    found = factors(schedule, total, warmup, decay_fraction)
    assert all(0 < factor <= 1 for factor in found)
    after = found[warmup:]
    assert after == sorted(after, reverse=True)
