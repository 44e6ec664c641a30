"""Intervals and tests against closed forms, brute force and published table values."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glassmind.statistics import (
    auroc,
    expected_calibration_error,
    mcnemar_exact,
    mean_and_interval,
    paired_counts,
    reliability,
    wilson_interval,
)


def test_wilson_known_values() -> None:
    # Newcombe (1998, Statistics in Medicine 17:857), table I, method 3
    for correct, n, low, high in [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ]:
        assert wilson_interval(correct, n) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 5000), st.data())
def test_wilson_solves_the_score_equation(n: int, data: st.DataObject) -> None:
    correct = data.draw(st.integers(0, n))
    low, high = wilson_interval(correct, n)
    assert 0 <= low <= correct / n <= high <= 1
    for bound in (low, high):
        # (p̂ - p)² = z² p (1 - p) / n at both ends
        left = (correct / n - bound) ** 2
        assert left == pytest.approx(1.959963985**2 * bound * (1 - bound) / n, abs=1e-9)
    mirrored = wilson_interval(n - correct, n)
    assert (1 - high, 1 - low) == pytest.approx(mirrored, abs=1e-12)


def test_wilson_edges() -> None:
    assert wilson_interval(0, 0) == (0.0, 1.0)
    assert wilson_interval(0, 10)[0] == 0.0
    assert wilson_interval(10, 10)[1] == 1.0
    assert wilson_interval(5, 10, 0.5)[0] > wilson_interval(5, 10, 0.99)[0]
    for bad in [(-1, 5), (6, 5)]:
        with pytest.raises(ValueError, match="between 0 and n"):
            wilson_interval(*bad)
    for confidence in (0.0, 1.0, 95.0):
        with pytest.raises(ValueError, match="confidence"):
            wilson_interval(1, 2, confidence)


@given(st.integers(0, 300), st.integers(0, 300))
def test_mcnemar_equals_the_binomial_sum(gained: int, lost: int) -> None:
    n, k = gained + lost, min(gained, lost)
    tail = sum(math.comb(n, i) for i in range(k + 1))
    expected = min(1.0, 2 * tail / 2**n)
    assert mcnemar_exact(gained, lost) == pytest.approx(expected, rel=1e-10)
    assert mcnemar_exact(gained, lost) == mcnemar_exact(lost, gained)


def test_mcnemar_known_and_large() -> None:
    assert mcnemar_exact(0, 0) == 1.0
    assert mcnemar_exact(5, 0) == pytest.approx(2 / 32)
    assert mcnemar_exact(63, 33) == pytest.approx(0.00286, abs=5e-5)
    assert mcnemar_exact(500_000, 500_000) == 1.0
    # One million disagreements, three standard deviations apart: the normal value with
    # continuity correction is an excellent approximation there.
    gained, lost = 501_500, 498_500
    z = (gained - lost - 1) / math.sqrt(gained + lost)
    assert mcnemar_exact(gained, lost) == pytest.approx(math.erfc(z / math.sqrt(2)), rel=1e-4)
    assert mcnemar_exact(10_000, 0) == 0.0
    with pytest.raises(ValueError, match="negative"):
        mcnemar_exact(-1, 3)


def test_paired_counts() -> None:
    a = [True, True, False, False, False]
    b = [True, False, True, True, False]
    assert paired_counts(a, b) == (2, 1)
    assert paired_counts([], []) == (0, 0)
    with pytest.raises(ValueError, match="same problems"):
        paired_counts([True], [])


@pytest.mark.parametrize(
    ("degrees", "t_95", "t_99"),
    [
        (1, 12.7062, 63.6567),
        (2, 4.3027, 9.9248),
        (3, 3.1824, 5.8409),
        (4, 2.7764, 4.6041),
        (9, 2.2622, 3.2498),
        (30, 2.0423, 2.7500),
        (120, 1.9799, 2.6174),
    ],
)
def test_t_interval_matches_the_tables(degrees: int, t_95: float, t_99: float) -> None:
    rng = random.Random(degrees)
    values = [rng.gauss(0.8, 0.05) for _ in range(degrees + 1)]
    mean = sum(values) / len(values)
    error = math.sqrt(sum((v - mean) ** 2 for v in values) / degrees / len(values))
    for confidence, t in ((0.95, t_95), (0.99, t_99)):
        centre, low, high = mean_and_interval(values, confidence)
        assert centre == pytest.approx(mean)
        assert high - centre == pytest.approx(t * error, rel=2e-5)
        assert centre - low == pytest.approx(high - centre)


def test_t_interval_edges() -> None:
    assert mean_and_interval([0.5, 0.5, 0.5]) == (0.5, 0.5, 0.5)
    for few in ([], [0.5]):
        with pytest.raises(ValueError, match="at least two"):
            mean_and_interval(few)


def test_auroc_counts_pairs() -> None:
    rng = random.Random(4)
    for _ in range(50):
        scores = [rng.choice((0.1, 0.2, 0.5, 0.5, 0.9)) for _ in range(12)]
        positive = [True, False, *(rng.random() < 0.4 for _ in range(10))]
        pairs = [
            1.0 if a > b else 0.5 if a == b else 0.0
            for a, yes in zip(scores, positive, strict=True) if yes
            for b, no in zip(scores, positive, strict=True) if not no
        ]  # fmt: skip
        assert auroc(scores, positive) == pytest.approx(sum(pairs) / len(pairs))
    with pytest.raises(ValueError, match="needed"):
        auroc([0.1], [True])


def test_reliability_by_bins() -> None:
    said = [0.0, 0.05, 0.5, 0.55, 1.0]
    came = [False, False, True, False, True]
    bins = reliability(said, came, (0.0, 0.1, 0.3, 0.6, 1.0))
    assert [(found.low, found.n, found.correct) for found in bins] == [
        (0.0, 2, 0), (0.3, 2, 1), (0.6, 1, 1),
    ]  # fmt: skip
    assert bins[1].mean == pytest.approx(0.525)
    expected = (0.05 + 0.05 + 0.0) / 5
    assert expected_calibration_error(bins) == pytest.approx(expected)
