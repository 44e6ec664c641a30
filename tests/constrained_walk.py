"""Writing at random what a constraint allows, as a model without any sense would."""

from __future__ import annotations

from functools import cache
from random import Random

import numpy as np
from numpy.typing import NDArray

from glassmind.generate.constraint.constraint import LanguageConstraint


@cache
def distances(constraint: LanguageConstraint) -> NDArray[np.int64]:
    """How many bytes each state of the machine is from a match, (states,)."""
    machine = constraint.automaton
    far = np.iinfo(np.int64).max // 2
    distance = np.where(machine.accepting, 0, far)
    while True:
        nearer = np.minimum(distance, 1 + distance[machine.table].min(1))
        nearer[0] = far
        if (nearer == distance).all():
            return distance
        distance = nearer


def walk(constraint: LanguageConstraint, random: Random, at_random: int = 40) -> list[int]:
    """The ids of a finished output. After ``at_random`` tokens it makes for the end."""
    follower = constraint.begin()
    ends = constraint.vocabulary.end_ids
    distance = distances(constraint)
    ids: list[int] = []
    state = constraint.automaton.start
    while True:
        mask = follower.allowed()
        assert mask is not None and mask.any(), "there is always a way on"
        allowed = mask.nonzero()[:, 0].tolist()
        may_end = not ends.isdisjoint(allowed)
        assert may_end == bool(constraint.automaton.accepting[state])
        if may_end and (len(ids) >= at_random or random.random() < 0.1):
            allowed = [token for token in allowed if token in ends]
        elif len(ids) >= at_random:
            assert len(ids) < at_random + 10_000
            best = constraint.vocabulary.trie.after(constraint.automaton, state)[allowed]
            allowed = [allowed[int(distance[best].argmin())]]
        token = random.choice(allowed)
        ids.append(token)
        if follower.see(token).finished:
            return ids
        state = constraint.step(state, token)


def text_of(constraint: LanguageConstraint, ids: list[int]) -> bytes:
    """The output's bytes, as decoding has them."""
    found = [constraint.vocabulary.token_bytes[token] for token in ids]
    return b"".join(data for data in found if data is not None).removeprefix(
        constraint.vocabulary.lead
    )
