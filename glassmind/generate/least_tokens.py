"""Keeping a sample from ending before it has so many tokens."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor

from glassmind.generate.token_hook import NOTHING, Reaction


class LeastTokens:
    """A ``TokenHook`` that forbids the tokens ``ends`` until ``least`` others have come."""

    def __init__(self, least: int, ends: Collection[int], vocab_size: int) -> None:
        self._left = least
        self._others_V = torch.ones(vocab_size, dtype=torch.bool)
        self._others_V[list(ends)] = False

    def allowed(self) -> Tensor | None:
        """Everything but the ends; after ``least`` tokens, everything."""
        return self._others_V if self._left > 0 else None

    def see(self, token_id: int) -> Reaction:
        """Count it."""
        self._left -= 1
        return NOTHING
