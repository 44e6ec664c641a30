"""When a vote is decided, against plain formulas."""

from __future__ import annotations

from fractions import Fraction
from itertools import permutations

import pytest

from glassmind.reason.stopping import (
    CONFIDENCE,
    beta_confidence,
    decided_after,
    shape_confidence,
)


def beta_integral(a: int, b: int) -> Fraction:
    """I_1/2(a, b) for whole numbers, from the integral of x^(a-1) (1-x)^(b-1), exactly."""

    def integral(upper: Fraction) -> Fraction:
        total, sign = Fraction(0), 1
        coefficient = 1
        for k in range(b):  # (1-x)^(b-1) multiplied out
            total += sign * coefficient * upper ** (a + k) / (a + k)
            sign, coefficient = -sign, coefficient * (b - 1 - k) // (k + 1)
        return total

    return integral(Fraction(1, 2)) / integral(Fraction(1))


@pytest.mark.parametrize("first", range(0, 9, 2))
@pytest.mark.parametrize("second", range(0, 6))
def test_the_beta_rule_is_the_integral(first: int, second: int) -> None:
    expected = 1 - beta_integral(first + 1, second + 1)
    assert beta_confidence(first, second) == pytest.approx(float(expected), rel=1e-12)


def test_values_of_the_paper_s_rule() -> None:
    assert beta_confidence(3, 0) < CONFIDENCE <= beta_confidence(4, 0)
    assert beta_confidence(5, 1) < CONFIDENCE <= beta_confidence(6, 1)
    assert beta_confidence(3, 3) == 0.5


@pytest.mark.parametrize("counts", [(1, 0, 0), (3, 0, 0), (3, 1, 0), (3, 1, 4), (2, 2, 1)])
def test_three_counts_against_every_assignment(counts: tuple[int, int, int]) -> None:
    """Brute force: every way in which the answers seen can be places of a shape."""
    first, second, others = counts
    leading = total = 0.0
    for step in range(1, 50):
        ratio = step * 0.02
        weights = [ratio**k for k in range(24)]
        shape = [weight / sum(weights) for weight in weights]
        for i, j in permutations(range(24), 2):
            rest = max(0.0, 1 - shape[i] - shape[j])
            likelihood = shape[i] ** first * shape[j] ** second * rest**others
            total += likelihood
            leading += likelihood * (i == 0)
    assert shape_confidence(*counts) == pytest.approx(leading / total, rel=1e-9)


def test_many_other_answers_make_a_lead_less_sure() -> None:
    assert shape_confidence(4, 0, 0) > shape_confidence(4, 1, 0) > shape_confidence(4, 1, 3)
    assert shape_confidence(10**6, 0, 0) > 0.999  # no underflow


def test_the_first_votes_that_decide() -> None:
    assert decided_after(list("aaaaaaa"), beta_confidence) == 4
    assert decided_after(["a", None, "a", "a", None, "a"], beta_confidence) == 6
    assert decided_after(list("abababab"), beta_confidence) is None
    assert decided_after(list("baaaaaaa"), beta_confidence) == 7
    assert decided_after([], beta_confidence) is None
    assert decided_after([None] * 5, shape_confidence) is None
