"""Which tokens may attend to which: masks as one-line predicates.

A mask answers, for a query at index ``q`` and a key at index ``kv`` of row ``b``, whether the query
may see the key. Predicates take index tensors that broadcast and return booleans, compose with
``&`` and ``|``, and become a dense tensor only where a kernel needs one:

    mask = causal & same_document(documents_BT)
    mask.dense(B, T)                    # (B, T, T) bool, True = may attend
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from glassmind.step_structure import Role

Predicate = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Mask:
    """A predicate ``allowed(b, q, kv) -> bool tensor`` over broadcasting index tensors."""

    allowed: Predicate

    def __and__(self, other: Mask) -> Mask:
        return Mask(lambda b, q, kv: self.allowed(b, q, kv) & other.allowed(b, q, kv))

    def __or__(self, other: Mask) -> Mask:
        return Mask(lambda b, q, kv: self.allowed(b, q, kv) | other.allowed(b, q, kv))

    def tile(self, batch: int, queries: Tensor, keys: Tensor) -> Tensor:
        """The mask written out for some queries and keys, given by index: (batch, Q, S) bools."""
        b = torch.arange(batch, device=queries.device)[:, None, None]
        allowed = self.allowed(b, queries[None, :, None], keys[None, None, :])
        return allowed.expand(batch, len(queries), len(keys))

    def dense(self, batch: int, tokens: int, device: torch.device | None = None) -> Tensor:
        """The mask written out: (batch, tokens, tokens) booleans, True where q may see kv."""
        index = torch.arange(tokens, device=device)
        return self.tile(batch, index, index)


causal = Mask(lambda b, q, kv: kv <= q)
"""A token sees itself and everything before it."""


def sliding_window(width: int) -> Mask:
    """A token sees itself and the ``width - 1`` before it (Beltagy et al. 2020, 2004.05150)."""
    return Mask(lambda b, q, kv: (kv <= q) & (q - kv < width))


def same_document(documents_BT: Tensor) -> Mask:
    """Tokens packed into one row see only their own document, given each token's document number.

    Packing several short documents into a row avoids padding; with this mask the result is the same
    as if each had a row of its own.
    """
    return Mask(lambda b, q, kv: documents_BT[b, q] == documents_BT[b, kv])


def question(segments_BT: Tensor) -> Mask:
    """Everything sees the question (``step_structure`` says what segments and roles are)."""
    return Mask(lambda b, q, kv: segments_BT[b, kv] == 0)


def own_step(segments_BT: Tensor) -> Mask:
    """A token sees its own step."""
    return Mask(lambda b, q, kv: segments_BT[b, kv] == segments_BT[b, q])


def previous_step(segments_BT: Tensor) -> Mask:
    """A token sees the whole of the step before its own."""
    return Mask(lambda b, q, kv: segments_BT[b, kv] == segments_BT[b, q] - 1)


def conclusions(roles_BT: Tensor) -> Mask:
    """Everything sees the results of steps, and the ``<|step|>`` that ends each."""
    return Mask(
        lambda b, q, kv: (roles_BT[b, kv] == Role.RESULT) | (roles_BT[b, kv] == Role.CLOSING)
    )


def flow(segments_BT: Tensor, roles_BT: Tensor) -> Mask:
    """The question, the token's own step, and what earlier steps concluded: thoughts must carry
    everything that is needed later in their results."""
    return causal & (question(segments_BT) | own_step(segments_BT) | conclusions(roles_BT))


def inductive(segments_BT: Tensor, roles_BT: Tensor) -> Mask:
    """``flow``, and the whole of the step before (Abbe et al. 2024, 2406.06467)."""
    return flow(segments_BT, roles_BT) | (causal & previous_step(segments_BT))


def left_padding(lengths_B: Tensor) -> Mask:
    """Nothing sees the first ``lengths_B[b]`` tokens of its row, which are padding.

    A padding token sees itself, because a softmax over no keys would be NaN.
    """
    return Mask(lambda b, q, kv: (kv >= lengths_B[b]) | (q == kv))


def prefix(lengths_B: Tensor) -> Mask:
    """Everything sees the first ``lengths_B[b]`` tokens of its row (a bidirectional prompt)."""
    return Mask(lambda b, q, kv: kv < lengths_B[b])
