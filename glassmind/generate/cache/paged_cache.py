"""The KV cache of the engine: every sequence's past, in blocks.

One forward pass handles tokens of many sequences at once, laid end to end as a single row: whole
prompts, pieces of prompts, single new tokens. To a linear layer it makes no difference which
sequence a token belongs to. Attention needs to know, and asks this cache; ``expect`` tells the
cache before the pass where each token belongs.

Shapes: T tokens of the pass, R rows (sequences that are being worked on), W blocks of the longest.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Sequence

import torch
from torch import Tensor

from glassmind.generate.cache.layout import BLOCK, Places
from glassmind.generate.cache.paged_attention import as_native, attend, empty_blocks, store
from glassmind.generate.packed.native_calls import CacheLayer
from glassmind.model import ModelConfig, Scoring
from glassmind.model.attention_kernels import WeightsTap
from glassmind.step_structure import START


def token_bytes(config: ModelConfig, dtype: torch.dtype) -> int:
    """The bytes that the keys and values of one token take in all layers."""
    scales = 4 * len(config.cached_widths) if dtype == torch.int8 else 0
    numbers = sum(config.cached_widths) * dtype.itemsize + scales
    return config.n_layers * config.cached_heads * numbers


class PagedCache:
    """Implements ``model.Cache`` for ``n_rows`` sequences of at most ``n_blocks`` blocks in all.

    Memory: ``token_bytes`` for each of the ``n_blocks * BLOCK`` tokens.
    """

    def __init__(
        self,
        config: ModelConfig,
        n_blocks: int,
        n_rows: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        device = torch.device(device)
        self.layers = [
            empty_blocks(n_blocks, config.cached_heads, config.cached_widths, dtype, device)
            for _ in range(config.n_layers)
        ]
        self.device = device
        widest = min(n_blocks, -(-config.max_tokens // BLOCK))
        self.tables_RW = torch.zeros((n_rows, widest), dtype=torch.int32, device=device)
        # Of every token, what is needed to read the one after it, if the model reads steps.
        self.states: Tensor | None = None
        if config.reasoning.reads_steps:
            shape = (n_blocks, BLOCK, len(START))
            self.states = torch.zeros(shape, dtype=torch.int32, device=device)
        self.positions_T = torch.empty(0, dtype=torch.int64)
        nowhere = torch.empty(0, dtype=torch.int32)
        self.places = Places(self.tables_RW, nowhere, nowhere, self.positions_T, self.states)

    def expect(self, row_T: Tensor, positions_T: Tensor) -> None:
        """The next pass reads token ``positions_T[t]`` of row ``row_T[t]`` (both int64).

        A row's tokens come in order, and its table already names the blocks that they go to.
        """
        slots_T = self.slots(row_T, positions_T)
        self.positions_T = positions_T
        visible_T = (positions_T + 1).int()
        self.places = Places(self.tables_RW, row_T.int(), visible_T, slots_T, self.states)

    def slots(self, row_N: Tensor, positions_N: Tensor) -> Tensor:
        """Where these tokens of these rows are stored: ``block * BLOCK + place``."""
        block_N = self.tables_RW[row_N, positions_N // BLOCK].long()
        return block_N * BLOCK + positions_N % BLOCK

    def read(self, ids_BT: Tensor, kinds_V: Tensor) -> None:
        """Nothing: who calls ``expect`` has read the tokens and written ``states``."""

    @functools.cached_property
    def native_layers(self) -> ctypes.Array[CacheLayer]:
        """The blocks of all layers, as the compiled loops take them."""
        return (CacheLayer * len(self.layers))(*map(as_native, self.layers))

    def copy(self, sources: Sequence[int], targets: Sequence[int]) -> None:
        """Copy the content of each block of ``sources`` to the one of ``targets``."""
        source = torch.tensor(sources, device=self.device)
        target = torch.tensor(targets, device=self.device)
        for layer in self.layers:
            for part in layer:
                if part is not None:
                    part[target] = part[source]
        if self.states is not None:
            self.states[target] = self.states[source]

    def move(self, sources_N: Tensor, targets_N: Tensor) -> None:
        """Copy the tokens in the slots ``sources_N``, all at once, to ``targets_N``."""
        (block, place), (to_block, to_place) = (
            (slots // BLOCK, slots % BLOCK) for slots in (sources_N, targets_N)
        )
        for layer in self.layers:
            layer.keys[to_block, :, :, to_place] = layer.keys[block, :, :, place]
            for part in layer[1:]:
                if part is not None:
                    part[to_block, :, to_place] = part[block, :, place]
        if self.states is not None:
            self.states[to_block, to_place] = self.states[block, place]

    def positions(self, n_tokens: int) -> Tensor:
        return self.positions_T

    def attend(
        self,
        layer: int,
        q_BHTE: Tensor,
        k_BKTE: Tensor,
        v_BKTE: Tensor | None,
        scoring: Scoring,
        tap: WeightsTap | None = None,
    ) -> Tensor:
        """Store the new keys and values, attend over what each token may see: (1, H, T, F)."""
        blocks = self.layers[layer]
        new = (k_BKTE,) if v_BKTE is None else (k_BKTE, v_BKTE)
        store(blocks, tuple(part[0].transpose(0, 1) for part in new), self.places)
        y_THF = attend(q_BHTE[0].transpose(0, 1), blocks, self.places, scoring, tap)
        return y_THF.to(q_BHTE.dtype).transpose(0, 1)[None]
