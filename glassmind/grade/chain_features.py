"""The features of a chain and of its prefixes: what is known of them without reading a token.

A prefix that ends a step, or the chain, has

    facts at its end | facts at any step of it | log-probability | that of its least likely token
    | number of steps

where the facts are those of ``step_facts``. ``reason.weighing`` weighs a verifier's belief by them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from glassmind.grade.step_facts import FACTS, step_facts

Floats = NDArray[np.float64]

FEATURES = 2 * len(FACTS) + 3
"""The number of features of a prefix."""


def prefix_features(
    question: str,
    steps: Sequence[str],
    answer: str | None,
    logprobs: Floats,
    step_ends: Sequence[int],
    end: int | None,
) -> Floats:
    """The features at the end of each closed step, and, if it ended, of the chain.

    ``logprobs`` (T,) are those of the chain's tokens, ``step_ends`` and ``end`` the indices of the
    tokens at the ends. Returns (ends, ``FEATURES``).
    """
    found, last = step_facts(question, steps, answer)
    so_far, least = np.cumsum(logprobs), np.minimum.accumulate(logprobs)
    places = np.arange(len(FACTS))
    rows, any_step = [], 0

    def add(bits: int, at: int, count: int) -> None:
        here, ever = (bits >> places & 1, any_step >> places & 1)
        rows.append(np.concatenate([here, ever, (so_far[at], least[at], count)]))

    for number, at in enumerate(step_ends):
        any_step |= found[number]
        add(found[number], at, number + 1)
    if end is not None:
        for bits in found[len(step_ends) :]:  # of free text, whose lines are steps
            any_step |= bits
        add(last, end, len(steps))
    return np.array(rows, np.float64).reshape(len(rows), FEATURES)
