"""The uncertainty of a measurement: intervals and paired tests, as pure functions of numbers.

An accuracy measured on 500 problems is a coin-tossing experiment: 80 % might be 76 % or 84 % on
the next 500. So every accuracy here comes with an interval, and "better" is said only where a
*paired* test supports it: both methods answer the same problems, the problems on which they agree
say nothing about which is better, and what remains is whether the disagreements split like a fair
coin. Nothing in this file needs more than the standard library.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist


def wilson_interval(correct: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Interval for a proportion, from ``correct`` successes in ``n`` trials; bounds in [0, 1].

    Wilson (1927, JASA 22:209): the proportions that a normal test would not reject. Unlike
    ``p ± z·sqrt(p(1-p)/n)`` it stays inside [0, 1] and does not shrink to nothing at 0 % or
    100 %. With ``n = 0`` nothing is known, so the answer is (0, 1). Raises ``ValueError`` unless
    ``0 <= correct <= n`` and ``0 < confidence < 1``.
    """
    if not 0 <= correct <= n:
        raise ValueError(f"correct must lie between 0 and n, not {correct} of {n}")
    z = NormalDist().inv_cdf(_upper_quantile(confidence))
    if n == 0:
        return 0.0, 1.0
    p = correct / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half_width = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    # At the ends the formula gives exactly 0 or 1; rounding should not spoil that.
    low = 0.0 if correct == 0 else max(0.0, centre - half_width)
    high = 1.0 if correct == n else min(1.0, centre + half_width)
    return low, high


def paired_counts(a: Sequence[bool], b: Sequence[bool]) -> tuple[int, int]:
    """Problems ``b`` gained and lost against ``a``: ``(gained, lost)``.

    ``a[i]`` and ``b[i]`` say whether each method was right on problem *i*. Gained are those only
    ``b`` got right, lost those only ``a`` did. Raises ``ValueError`` where the lengths differ.
    """
    if len(a) != len(b):
        raise ValueError(f"a paired test needs the same problems: {len(a)} against {len(b)}")
    gained = sum(1 for x, y in zip(a, b, strict=True) if y and not x)
    lost = sum(1 for x, y in zip(a, b, strict=True) if x and not y)
    return gained, lost


def mcnemar_exact(gained: int, lost: int) -> float:
    """Two-sided p-value of the exact McNemar test on ``gained`` and ``lost`` problems.

    If neither method were better, each disagreement would be a fair coin, so ``gained`` would be
    Binomial(gained + lost, 1/2); p is twice the tail beyond the smaller count, at most 1. A small
    p says the methods differ; whether for the better is the sign of ``gained - lost``. McNemar
    (1947, Psychometrika 12:153), exact rather than by chi-square. Summed from the tail's largest
    term by ratios, so it is accurate for millions of problems (and underflows to 0 below 1e-308).
    """
    if gained < 0 or lost < 0:
        raise ValueError(f"counts cannot be negative: gained {gained}, lost {lost}")
    n, k = gained + lost, min(gained, lost)
    if gained == lost:
        return 1.0
    # log C(n, k) / 2^n, the largest term of P(X <= k) since k < n / 2
    log_top = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) - n * math.log(2)
    total, ratio = 1.0, 1.0
    for i in range(k, 0, -1):
        ratio *= i / (n - i + 1)  # C(n, i - 1) / C(n, i)
        total += ratio
        if ratio < 1e-18 * total:
            break
    return min(1.0, 2 * math.exp(log_top) * total)


def pass_at_k(n: int, correct: int, k: int) -> float:
    """The probability that of ``k`` chains, taken from ``n`` of which ``correct`` are right, at
    least one is: 1 - C(n - correct, k) / C(n, k) (Chen et al. 2021, arXiv 2107.03374).

    Raises:
        ValueError: not ``0 <= correct <= n`` and ``0 <= k <= n``.
    """
    if not (0 <= correct <= n and 0 <= k <= n):
        raise ValueError(f"cannot take {k} of {n} chains of which {correct} are right")
    return 1 - math.comb(n - correct, k) / math.comb(n, k)


def auroc(scores: Sequence[float], positive: Sequence[bool]) -> float:
    """The area under the ROC curve: how often a positive has a higher score than a negative, ties
    counting half (Hanley and McNeil 1982). 0.5 is chance, 1 a perfect order.

    Raises:
        ValueError: the lengths differ, or there are no positives or no negatives.
    """
    ranked = sorted(zip(scores, positive, strict=True))
    n_positive = sum(positive)
    n_negative = len(ranked) - n_positive
    if not n_positive or not n_negative:
        raise ValueError("both positives and negatives are needed")
    above, below, at = 0.0, 0, 0
    while at < len(ranked):
        end = at
        while end < len(ranked) and ranked[end][0] == ranked[at][0]:
            end += 1
        tied = sum(right for _, right in ranked[at:end])
        negatives = end - at - tied
        above += tied * (below + negatives / 2)
        below += negatives
        at = end
    return above / (n_positive * n_negative)


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Predictions from ``low`` to ``high``: how many, their mean, and how many came true."""

    low: float
    high: float
    n: int
    mean: float
    correct: int


def reliability(
    probabilities: Sequence[float], outcomes: Sequence[bool], edges: Sequence[float]
) -> list[ReliabilityBin]:
    """A reliability table (Murphy and Winkler 1977): predictions in bins between ``edges``, which
    rise from 0 to 1. Of calibrated ones a share equal to their mean comes true. Empty bins are
    left out."""
    bins = []
    pairs = list(zip(probabilities, outcomes, strict=True))
    for low, high in itertools.pairwise(edges):
        inside = [(p, right) for p, right in pairs if low <= p < high or (p == high == edges[-1])]
        if inside:
            mean = math.fsum(p for p, _ in inside) / len(inside)
            bins.append(ReliabilityBin(low, high, len(inside), mean, sum(r for _, r in inside)))
    return bins


def expected_calibration_error(bins: Sequence[ReliabilityBin]) -> float:
    """The mean distance between what was predicted and what came true (Naeini et al. 2015)."""
    n = sum(found.n for found in bins)
    return math.fsum(abs(found.mean * found.n - found.correct) for found in bins) / n


def mean_and_interval(
    values: Sequence[float], confidence: float = 0.95
) -> tuple[float, float, float]:
    """Mean of independent repeats (seeds) and Student's t interval: ``(mean, low, high)``.

    Few seeds make a wide interval: with three, t is 4.3 instead of the 1.96 of a normal
    distribution. Raises ``ValueError`` for fewer than two values, which have no spread.
    """
    n = len(values)
    if n < 2:
        raise ValueError(f"an interval over seeds needs at least two values, not {n}")
    mean = math.fsum(values) / n
    variance = math.fsum((v - mean) ** 2 for v in values) / (n - 1)
    half_width = t_quantile(_upper_quantile(confidence), n - 1) * math.sqrt(variance / n)
    return mean, mean - half_width, mean + half_width


def _upper_quantile(confidence: float) -> float:
    """0.95 -> 0.975: the probability below the upper end of a two-sided interval."""
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie strictly between 0 and 1, not {confidence}")
    return 0.5 + confidence / 2


def t_quantile(probability: float, degrees: int) -> float:
    """The t below which Student's distribution has ``probability`` (> 1/2), by bisection.

    Uses the closed form, for n degrees of freedom, in θ = atan(t / sqrt(n)), where the density
    is cos^(n-1) θ and its integral a finite sum (Abramowitz & Stegun 26.7.3-4); θ lies in
    (0, π/2), so bisection needs no guess of the range.
    """
    low, high = 0.0, math.pi / 2
    for _ in range(100):
        middle = (low + high) / 2
        if 0.5 + _t_two_sided(middle, degrees) / 2 < probability:
            low = middle
        else:
            high = middle
    return math.sqrt(degrees) * math.tan((low + high) / 2)


def _t_two_sided(theta: float, degrees: int) -> float:
    """P(|T| < sqrt(n) tan θ) for n ``degrees`` of freedom, as a finite trigonometric sum."""
    sine, cosine = math.sin(theta), math.cos(theta)
    odd = degrees % 2 == 1
    # Odd n: cos + 2/3 cos³ + (2·4)/(3·5) cos⁵ ...; even n: 1 + 1/2 cos² + (1·3)/(2·4) cos⁴ ...
    term = cosine if odd else 1.0
    total = term if degrees > 1 else 0.0
    for j in range(2 if odd else 1, degrees - 2, 2):
        term *= j / (j + 1) * cosine * cosine
        total += term
    return 2 / math.pi * (theta + sine * total) if odd else sine * total
