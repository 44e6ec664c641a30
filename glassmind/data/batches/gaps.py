"""Random gaps between positions, so that a model is trained on positions beyond its longest chain.

A model that has only seen positions up to *n* fails beyond, whatever it has learned about the task.
Ruoss et al. (2023, arXiv 2305.16843) therefore train on a random, increasing subset of a longer
range of positions, and Newman et al. (2020, 2010.07174) found that models use the position to
decide when to end. Here positions within a sentence or a step stay neighbours, as they are when an
answer is written, and gaps come only before sentences of the question, steps and the answer.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from glassmind.step_structure import Kind, read_steps


def random_positions(kinds: str, limit: int, rng: np.random.Generator) -> NDArray[np.int32]:
    """Positions below ``limit`` for the tokens of a document, whose kinds are given, (T,).

    The gaps add up to anything from 0 to what ``limit`` leaves, so positions without gaps, as they
    are at sampling time, occur in training too.
    """
    length = len(kinds)
    segments = np.array([state.segment for state in read_steps(kinds)])
    begins = np.zeros(length, bool)
    begins[1:] = segments[1:] != segments[:-1]
    for t in range(1, length):
        # A point between digits is a decimal point.
        if kinds[t - 1] == Kind.STOP and kinds[t] not in (Kind.STOP, Kind.NUMBER):
            begins[t] |= segments[t] == 0
    most = rng.integers(0, max(0, limit - length) + 1)
    shifts = np.sort(rng.integers(0, most + 1, size=int(begins.sum()) + 1))
    shifts[0] = 0  # the first sentence begins at position 0
    return (np.arange(length) + shifts[begins.cumsum()]).astype(np.int32)
