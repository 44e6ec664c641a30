"""When a vote is decided: the probability that the leading answer will stay in the lead.

Most problems are decided after a few chains. Adaptive self-consistency (Aggarwal et al. 2023, arXiv
2305.11860) asks after every chain how sure the lead is, and stops at 95 %. Two rules:

* ``beta_confidence``: with a uniform prior on how often the leading answer comes where one of the
  two leading answers does, the posterior is Beta(v1 + 1, v2 + 1), and the probability that its mean
  is above one half is 1 - I_1/2(v1 + 1, v2 + 1). It looks at two counts.
* ``shape_confidence``: a prior over the shapes that a model's answers take (one answer dominates,
  or many compete) says more, and then the number of all other answers counts as well. Huang et al.
  2026 (arXiv 2602.05395) show that these three counts suffice. Here a shape is geometric: the k-th
  most likely answer has a probability proportional to r^k, and r is uniform.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from math import comb

import numpy as np

CONFIDENCE = 0.95
"""A vote with at least this probability of keeping its leader is decided (the paper's value)."""

_CLASSES = 24  # answers of a shape; the rest has no probability
_RATIOS = np.arange(0.02, 1.0, 0.02)

Confidence = Callable[[int, int, int], float]
"""From the votes of the first, of the second and of all other answers to a probability."""


def beta_confidence(first: int, second: int, others: int = 0) -> float:
    """1 - I_1/2(first + 1, second + 1), exactly; ``others`` do not count.

    For whole numbers, the regularised incomplete beta function is a tail of the binomial
    distribution: I_1/2(a, b) = P(Bin(a + b - 1, 1/2) >= a).
    """
    n = first + second + 1
    return sum(comb(n, k) for k in range(first + 1)) / 2**n


@lru_cache(maxsize=100_000)
def shape_confidence(first: int, second: int, others: int) -> float:
    """The posterior probability that the answer with ``first`` votes is the likeliest one.

    It adds up, over shapes q and pairs of places i, j in them, the likelihood
    q_i^first q_j^second (1 - q_i - q_j)^others, and returns the share of i = 1.
    """
    ranks = np.arange(_CLASSES)
    shapes_SC = _RATIOS[:, None] ** ranks
    shapes_SC /= shapes_SC.sum(1, keepdims=True)
    q_i, q_j = shapes_SC[:, :, None], shapes_SC[:, None, :]
    rest = np.clip(1 - q_i - q_j, 0.0, 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = _times(first, q_i) + _times(second, q_j) + _times(others, rest)
    logs = np.where(ranks[:, None] == ranks, -np.inf, logs)  # i and j are different answers
    top = logs.max()
    if top == -np.inf:
        return 0.0
    likelihood = np.exp(logs - top)
    return float(likelihood[:, 0].sum() / likelihood.sum())


def _times(count: int, probability: np.ndarray) -> np.ndarray | float:
    return count * np.log(probability) if count else 0.0


def decided_after(keys: Sequence[str | None], confidence: Confidence) -> int | None:
    """How many of the votes ``keys`` (``None`` is no vote) decide it; ``None`` if all do not."""
    counts: dict[str, int] = {}
    for number, key in enumerate(keys, 1):
        if key is None:
            continue
        counts[key] = counts.get(key, 0) + 1
        first, second, *_ = (*sorted(counts.values(), reverse=True), 0)
        if confidence(first, second, sum(counts.values()) - first - second) >= CONFIDENCE:
            return number
    return None
