"""Holding the divergence from the reference at a target, by changing its weight.

    e = clip(KL / target - 1, -0.2, 0.2)
    β ← β (1 + 0.1 e)

(Ziegler et al. 2019, arXiv 1909.08593, with their constants.) KL is that of whole completions, as
measured on one set of samples, and β applies to the next one. The clip keeps one odd set of samples
from moving β by more than 2 %, so a weight that is ten times too small takes over a hundred sets
to correct: begin with one of the right size.
"""

from __future__ import annotations

GAIN, MOST_ERROR = 0.1, 0.2


def next_weight(weight: float, divergence: float, target: float) -> float:
    """The weight for the next set of samples, given the divergence (nats) measured on this one."""
    error = divergence / target - 1
    return weight * (1 + GAIN * min(max(error, -MOST_ERROR), MOST_ERROR))
