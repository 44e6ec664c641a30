"""Conversions of tensors beyond renaming, with their inverses.

Models that compute the same may store their weights differently: GPT-2 has transposed matrices, and
queries, keys and values in one; Gemma stores norms' weights minus one; mixtures may store every
expert separately. Each class here is one such difference. ``load`` turns their tensors into ours,
``save`` ours into theirs. Both also work on tensors without data, from which the shapes that a file
must have are found.

Shapes: D d_model, H heads, E head_dim, X experts, F d_hidden, C content, R rotated, V value, L
latent width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from glassmind.model import ModelConfig


class Transform(Protocol):
    """Their tensors to ours, and back."""

    def load(self, theirs: Sequence[Tensor], config: ModelConfig) -> list[Tensor]:
        """Our tensors, in the order in which the table names them."""
        ...

    def save(self, ours: Sequence[Tensor], config: ModelConfig) -> list[Tensor]:
        """Their tensors, in the order in which the table names them."""
        ...


class Same:
    """No conversion."""

    def load(self, theirs: Sequence[Tensor], config: ModelConfig) -> list[Tensor]:
        return list(theirs)

    def save(self, ours: Sequence[Tensor], config: ModelConfig) -> list[Tensor]:
        return list(ours)


SAME = Same()


class Transposed:
    """GPT-2 stores matrices as (in, out); biases are as usual."""

    def load(self, theirs: Sequence[Tensor], config: ModelConfig) -> list[Tensor]:
        return [tensor.t().contiguous() for tensor in theirs]

    save = load


class Columns:
    """GPT-2's query, key and value side by side in one transposed matrix: (D, 3·D)."""

    def load(self, theirs: Sequence[Tensor], config: ModelConfig) -> list[Tensor]:
        return [part.t().contiguous() for part in theirs[0].chunk(3, dim=-1)]

    def save(self, ours: Sequence[Tensor], config: ModelConfig) -> list[Tensor]:
        return [torch.cat([part.t() for part in ours], dim=-1)]


class ByHead:
    """BLOOM's query, key and value in one matrix, head after head: (H, 3, E, D)."""

    def load(self, theirs: Sequence[Tensor], config: ModelConfig) -> list[Tensor]:
        apart = theirs[0].unflatten(0, (config.attention.n_heads, 3, -1))
        return [part.flatten(0, 1).contiguous() for part in apart.unbind(dim=1)]

    def save(self, ours: Sequence[Tensor], config: ModelConfig) -> list[Tensor]:
        apart = [part.unflatten(0, (config.attention.n_heads, -1)) for part in ours]
        return [torch.stack(apart, dim=1).flatten(0, 2)]


class PlusOne:
    """Gemma's norms multiply by one plus the weight."""

    def load(self, theirs: Sequence[Tensor], config: ModelConfig) -> list[Tensor]:
        return [tensor.float() + 1 for tensor in theirs]

    def save(self, ours: Sequence[Tensor], config: ModelConfig) -> list[Tensor]:
        return [(tensor.float() - 1).to(tensor.dtype) for tensor in ours]


class Stacked:
    """One matrix (F, D) per expert; ours is one tensor (X, F, D)."""

    def load(self, theirs: Sequence[Tensor], config: ModelConfig) -> list[Tensor]:
        return [torch.stack(list(theirs))]

    def save(self, ours: Sequence[Tensor], config: ModelConfig) -> list[Tensor]:
        return list(ours[0].unbind())


class GateAndUp:
    """All experts' gate and up in one tensor: (X, 2·F, D), as transformers 5 has them in memory."""

    def load(self, theirs: Sequence[Tensor], config: ModelConfig) -> list[Tensor]:
        return [part.contiguous() for part in theirs[0].chunk(2, dim=1)]

    def save(self, ours: Sequence[Tensor], config: ModelConfig) -> list[Tensor]:
        return [torch.cat(list(ours), dim=1)]


class KeyAndValue:
    """DeepSeek's unpacking of keys and values in one matrix, head after head: (H, C + V, L)."""

    def load(self, theirs: Sequence[Tensor], config: ModelConfig) -> list[Tensor]:
        latent = config.attention.latent
        apart = theirs[0].unflatten(0, (config.attention.n_heads, -1))
        parts = apart.split((latent.content_dim, latent.value_dim), dim=1)
        return [part.flatten(0, 1).contiguous() for part in parts]

    def save(self, ours: Sequence[Tensor], config: ModelConfig) -> list[Tensor]:
        apart = [part.unflatten(0, (config.attention.n_heads, -1)) for part in ours]
        return [torch.cat(apart, dim=1).flatten(0, 1)]


class Unpaired:
    """DeepSeek rotates neighbouring coordinates; we rotate the first half with the second.

    The last ``rope_dim`` rows of each block are reordered. For queries a block is a head; the
    single shared key is one block.
    """

    def __init__(self, per_head: bool) -> None:
        self.per_head = per_head

    def load(self, theirs: Sequence[Tensor], config: ModelConfig) -> list[Tensor]:
        return [self._reorder(theirs[0], config, (-1, 2))]

    def save(self, ours: Sequence[Tensor], config: ModelConfig) -> list[Tensor]:
        return [self._reorder(ours[0], config, (2, -1))]

    def _reorder(self, tensor: Tensor, config: ModelConfig, pairs: tuple[int, int]) -> Tensor:
        rotated = config.attention.latent.rope_dim
        if not rotated:
            return tensor
        blocks = tensor.unflatten(0, (config.attention.n_heads if self.per_head else 1, -1))
        content, turned = blocks.split((blocks.shape[1] - rotated, rotated), dim=1)
        turned = turned.unflatten(1, pairs).transpose(1, 2).flatten(1, 2)
        return torch.cat((content, turned), dim=1).flatten(0, 1)
