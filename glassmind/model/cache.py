"""The KV cache: never compute a token's keys and values twice.

Generating token *t* needs the keys and values of all tokens before it, and those do not change.
``Attention`` hands its new queries, keys and values to the cache it is given and gets the attended
values back; how the past is stored is up to the cache. ``KVCache`` is the plain one, for rows that
grow in step. The engine's cache, ``generate.cache``, stores a prompt once for all its samples.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from glassmind.model.attention_kernels import WeightsTap, attend
from glassmind.model.config import ModelConfig
from glassmind.model.masks import causal, left_padding
from glassmind.model.scoring import DENSE_UP_TO, Scoring, VisibleKeys
from glassmind.model.step_marks import StepMarks, read_marks


class Cache(Protocol):
    """What ``Transformer.forward(cache=...)`` needs of a cache."""

    def read(self, ids_BT: Tensor, kinds_V: Tensor) -> None:
        """Called first, with the new tokens, by a model that reads steps (``model.step_marks``)."""
        ...

    def positions(self, n_tokens: int) -> Tensor:
        """Positions of the next ``n_tokens`` tokens: (T,), or (B, T) where rows differ."""
        ...

    def attend(
        self,
        layer: int,
        q_BHTE: Tensor,
        k_BKTE: Tensor,
        v_BKTE: Tensor | None,
        scoring: Scoring,
        tap: WeightsTap | None = None,
    ) -> Tensor:
        """Store this layer's new keys and values; attend over everything stored: (B, H, T, E).

        ``v_BKTE`` is ``None`` where the keys serve as values too (latent attention). With a
        ``tap``, the attention weights are formed and pass through it.
        """
        ...


class KVCache:
    """Cache for ``batch`` rows that grow in step, up to ``max_tokens`` tokens.

    ``padding_B`` says how many tokens at the left of each row are padding. A layer with a window
    forgets what has left the window.

    Memory: for each layer without a window ``batch * cached_heads * sum(cached_widths) *
    max_tokens`` numbers, for one with a window as if ``max_tokens`` were ``window - 1``.
    """

    def __init__(
        self,
        config: ModelConfig,
        batch: int,
        max_tokens: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        padding_B: Tensor | None = None,
    ) -> None:
        self.length = 0
        self.n_layers = config.n_layers
        self.device = torch.device(device)
        self.padding_B = padding_B
        self.restart = config.reasoning.positions == "restart"
        self.ids_BT = torch.empty((batch, 0), dtype=torch.long, device=device)
        self.marks: StepMarks | None = None  # of all tokens, if the model reads steps
        # Of each layer: keys and values, or keys that are both. A windowed layer starts empty.
        self.stores: list[tuple[Tensor, ...]] = []
        for layer in range(config.n_layers):
            tokens = 0 if config.layer(layer).window else max_tokens
            shape = (batch, config.cached_heads, tokens)
            self.stores.append(
                tuple(
                    torch.empty((*shape, width), dtype=dtype, device=device)
                    for width in config.cached_widths
                )
            )

    def read(self, ids_BT: Tensor, kinds_V: Tensor) -> None:
        # Everything is read again for every token: simple, and the engine has a faster way.
        self.ids_BT = torch.cat((self.ids_BT, ids_BT), dim=1)
        index = torch.arange(self.ids_BT.shape[1], device=self.device).expand_as(self.ids_BT)
        previous = index - 1
        if self.padding_B is not None:  # a token of padding follows itself
            previous = torch.where(index <= self.padding_B[:, None], index, previous)
        self.marks = read_marks(self.ids_BT, kinds_V, previous.clamp(min=0))

    def positions(self, n_tokens: int) -> Tensor:
        if self.restart:
            assert self.marks is not None
            return self.marks.position[:, -n_tokens:]
        index = torch.arange(self.length, self.length + n_tokens, device=self.device)
        if self.padding_B is None:
            return index
        return (index - self.padding_B[:, None]).clamp(min=0)

    def attend(
        self,
        layer: int,
        q_BHTE: Tensor,
        k_BKTE: Tensor,
        v_BKTE: Tensor | None,
        scoring: Scoring,
        tap: WeightsTap | None = None,
    ) -> Tensor:
        new = (k_BKTE,) if v_BKTE is None else (k_BKTE, v_BKTE)
        n_new = q_BHTE.shape[2]
        end = self.length + n_new
        if scoring.window:
            stored = self._append_near(layer, new, scoring.window)
        else:
            for store, addition in zip(self.stores[layer], new, strict=True):
                store[:, :, self.length : end] = addition
            stored = tuple(store[:, :, :end] for store in self.stores[layer])
        first = end - stored[0].shape[2]  # index of the oldest token still there
        mask = self._visible(len(q_BHTE), n_new, first, end, scoring)
        if layer == self.n_layers - 1:
            self.length = end
        return attend(q_BHTE, stored[0], stored[-1], mask, scoring.scale, tap, first)

    def _append_near(self, layer: int, new: tuple[Tensor, ...], window: int) -> tuple[Tensor, ...]:
        """All that the new queries may see; only what later ones may see is kept."""
        kept = self.stores[layer]
        both = tuple(torch.cat(pair, dim=2) for pair in zip(kept, new, strict=True))
        start = max(0, both[0].shape[2] - (window - 1))
        self.stores[layer] = tuple(part[:, :, start:].clone() for part in both)
        return both

    def _visible(
        self, batch: int, n_new: int, first: int, end: int, scoring: Scoring
    ) -> Tensor | VisibleKeys | None:
        """Which of the stored keys (indices ``first`` to ``end - 1``) each new query sees.

        ``None`` means all up to its own; only for one new token, or if all tokens are new.
        """
        plain = scoring.bias is None and scoring.steps == "causal" and self.padding_B is None
        near = not scoring.window or end - first <= scoring.window
        if plain and near and n_new in (1, end):
            return None
        mask, rows = None, 1 if self.marks is None else batch
        if self.padding_B is not None:
            mask, rows = causal & left_padding(self.padding_B), batch
        # Rows grow in step, so distances between indices are distances between positions.
        visible = VisibleKeys(
            scoring, mask, torch.arange(end, device=self.device), rows, self.marks
        )
        if n_new * (end - first) > DENSE_UP_TO**2:
            return visible
        index = torch.arange(first, end, device=self.device)
        return visible.tile(index[-n_new:], index)
