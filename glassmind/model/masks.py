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


def left_padding(lengths_B: Tensor) -> Mask:
    """Nothing sees the first ``lengths_B[b]`` tokens of its row, which are padding.

    A padding token sees itself, because a softmax over no keys would be NaN.
    """
    return Mask(lambda b, q, kv: (kv >= lengths_B[b]) | (q == kv))


def prefix(lengths_B: Tensor) -> Mask:
    """Everything sees the first ``lengths_B[b]`` tokens of its row (a bidirectional prompt)."""
    return Mask(lambda b, q, kv: kv < lengths_B[b])
