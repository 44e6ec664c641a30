"""Writing at random what a constraint allows, as a model without any sense would."""

from __future__ import annotations

from collections import deque
from functools import cache
from random import Random

import torch
from torch import Tensor

from glassmind.generate.constraint.constraint import GrammarConstraint
from glassmind.generate.constraint.vocabulary import Vocabulary

LONGEST = 3000  # tokens; what is not at its end by then is given up


def walk(constraint: GrammarConstraint, random: Random, at_random: int = 40) -> list[int] | None:
    """The ids of a finished output. After ``at_random`` tokens it makes for the end; ``None`` where
    it does not get there, as in a string that must have a million characters."""
    follower = constraint.begin()
    vocabulary = constraint.vocabulary
    ends = list(vocabulary.end_ids)
    ids: list[int] = []
    forced: deque[int] = deque()
    while len(ids) < LONGEST:
        if forced:
            token = forced.popleft()
        else:
            mask = follower.allowed()
            assert mask is not None and mask.any(), "there is always a way on"
            late = len(ids) >= at_random
            if mask[ends].any() and (late or random.random() < 0.1):
                mask = mask & ~_closing(vocabulary)[0]
            elif late and random.random() < 0.7:  # a pattern may want something else first
                closing = mask & _closing(vocabulary)[1]
                mask = closing if closing.any() else mask
            token = random.choice(mask.nonzero()[:, 0].tolist())
        ids.append(token)
        reaction = follower.see(token)
        if reaction.finished:
            return ids
        assert not (forced and reaction.forced), "what is forced is forced once"
        forced.extend(reaction.forced)
    return None


@cache
def _closing(vocabulary: Vocabulary) -> tuple[Tensor, Tensor]:
    """The tokens that do not end a text, and those that close a string, an object or an array."""
    goes_on = [token not in vocabulary.end_ids for token in range(len(vocabulary))]
    closes = [
        data is not None and data.endswith((b'"', b"}", b"]")) and not data.endswith(b'\\"')
        for data in vocabulary.token_bytes
    ]
    return torch.tensor(goes_on), torch.tensor(closes)


def text_of(constraint: GrammarConstraint, ids: list[int]) -> bytes:
    """The output's bytes, as decoding has them."""
    found = [constraint.vocabulary.token_bytes[token] for token in ids]
    return b"".join(data for data in found if data is not None).removeprefix(
        constraint.vocabulary.lead
    )


def fits(constraint: GrammarConstraint, text: bytes) -> bool:
    """Whether ``text``, byte by byte, is an output that may end."""
    vocabulary = constraint.vocabulary
    id_of = {data: token for token, data in enumerate(vocabulary.token_bytes) if data}
    follower = constraint.begin()
    for byte in text:
        token = id_of[bytes([byte])]
        mask = follower.allowed()
        if mask is None or not mask[token]:
            return False
        follower.see(token)
    mask = follower.allowed()
    return mask is not None and bool(mask[list(vocabulary.end_ids)].all())
