"""The KV cache: never compute a token's keys and values twice.

Generating token *t* needs the keys and values of all tokens before it, and those do not change.
``Attention`` hands its new queries, keys and values to whatever cache it is given and gets the
attended values back; how the past is stored is the cache's own business. ``KVCache`` is the plain
one. The engine brings another that stores a prompt once for all its samples.
"""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from glassmind.model.config import ModelConfig


class Cache(Protocol):
    """What ``Transformer.forward(cache=...)`` needs of a cache."""

    def positions(self, n_tokens: int) -> Tensor:
        """Positions of the next ``n_tokens`` tokens: (T,), or (B, T) where rows differ."""
        ...

    def attend(
        self, layer: int, q_BHTE: Tensor, k_BKTE: Tensor, v_BKTE: Tensor, scale: float
    ) -> Tensor:
        """Store this layer's new keys and values; attend over everything stored: (B, H, T, E)."""
        ...


class KVCache:
    """Contiguous cache for ``batch`` rows that grow in step, up to ``max_tokens`` tokens.

    Memory: ``2 * n_layers * batch * n_kv_heads * max_tokens * head_dim`` numbers.
    """

    def __init__(
        self,
        config: ModelConfig,
        batch: int,
        max_tokens: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        shape = (config.n_layers, batch, config.n_kv_heads, max_tokens, config.head_dim)
        self.keys = torch.empty(shape, dtype=dtype, device=device)
        self.values = torch.empty(shape, dtype=dtype, device=device)
        self.length = 0
        self.n_layers = config.n_layers

    def positions(self, n_tokens: int) -> Tensor:
        return torch.arange(self.length, self.length + n_tokens, device=self.keys.device)

    def attend(
        self, layer: int, q_BHTE: Tensor, k_BKTE: Tensor, v_BKTE: Tensor, scale: float
    ) -> Tensor:
        start, end = self.length, self.length + q_BHTE.shape[2]
        self.keys[layer, :, :, start:end] = k_BKTE
        self.values[layer, :, :, start:end] = v_BKTE
        if layer == self.n_layers - 1:
            self.length = end
        # A query at position start + i sees keys 0 .. start + i.
        q_index = torch.arange(start, end, device=q_BHTE.device)[:, None]
        visible = torch.arange(end, device=q_BHTE.device)[None, :] <= q_index
        return F.scaled_dot_product_attention(
            q_BHTE,
            self.keys[layer, :, :, :end],
            self.values[layer, :, :, :end],
            attn_mask=visible,
            scale=scale,
            enable_gqa=q_BHTE.shape[1] != k_BKTE.shape[1],
        )
