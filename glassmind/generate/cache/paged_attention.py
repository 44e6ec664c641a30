"""Attention over keys and values that lie scattered in blocks.

A sequence's past is a list of blocks of ``BLOCK`` tokens anywhere in two big stores
(PagedAttention: Kwon et al. 2023, arXiv 2309.06180). ``tables_RW[r]`` names the blocks of row *r*
in order, so token *s* of it lies in block ``tables_RW[r, s // BLOCK]`` at place ``s % BLOCK``.

``attend_formula`` gathers a row's blocks into one piece and writes attention out; it runs anywhere
and is the one to read. ``kernels/attention.hpp`` does the same without the gathering, and a test
holds the two together.

Shapes: T query tokens, R rows, W blocks of the longest row, N blocks of the store, H heads, K kv
heads, E key width, F value width, S keys.
"""

from __future__ import annotations

import ctypes
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from glassmind.generate.packed import native_calls
from glassmind.generate.packed.native_calls import STORED, AttentionShape, Calls, at, calls
from glassmind.model import Scoring

BLOCK = 16
"""Tokens of a block."""


class LayerBlocks(NamedTuple):
    """The blocks of one layer.

    ``keys`` (N, K, E, BLOCK) lie transposed within a block; without ``values`` (N, K, BLOCK, F)
    they serve as values too. Where both are int8, every key and value has a scale, float32
    (N, K, BLOCK): the largest of its numbers stands as 127.
    """

    keys: Tensor
    values: Tensor | None = None
    key_scales: Tensor | None = None
    value_scales: Tensor | None = None


class Places(NamedTuple):
    """Where the tokens of a pass belong: token *t* sees the first ``visible_T[t]`` keys of row
    ``row_T[t]`` (int32 both, as ``tables_RW``) and is itself kept in ``slots_T[t]`` (int64), which
    is ``block * BLOCK + place``."""

    tables_RW: Tensor
    row_T: Tensor
    visible_T: Tensor
    slots_T: Tensor

    def native(self) -> native_calls.Places:
        """The same for the compiled loops."""
        tables_RW, row_T, visible_T, slots_T = self
        return native_calls.Places(
            tables_RW.data_ptr(), tables_RW.shape[1], row_T.data_ptr(), visible_T.data_ptr(),
            slots_T.data_ptr(),
        )  # fmt: skip


def empty_blocks(
    n_blocks: int, kv_heads: int, widths: tuple[int, ...], dtype: torch.dtype, device: torch.device
) -> LayerBlocks:
    """Room for one layer, of float32, bfloat16 or int8."""
    shapes = [(n_blocks, kv_heads, widths[0], BLOCK)]
    shapes += [(n_blocks, kv_heads, BLOCK, width) for width in widths[1:]]
    parts = [_zeros(shape, dtype, device) for shape in shapes]
    keys, values = parts[0], parts[1] if len(parts) > 1 else None
    if dtype != torch.int8:
        return LayerBlocks(keys, values)
    scales = [_zeros((n_blocks, kv_heads, BLOCK), torch.float32, device) for _ in parts]
    return LayerBlocks(keys, values, *scales)


def _zeros(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Zeros, for what no token was written to still meets a weight of zero.

    On a CPU, NumPy's: their memory is only taken when something is written to it, and comes in
    large pages, which scattered reading wants.
    """
    if device.type != "cpu":
        return torch.zeros(shape, dtype=dtype, device=device)
    return torch.from_numpy(np.zeros((*shape[:-1], shape[-1] * dtype.itemsize), np.uint8)).view(
        dtype
    )


def store(blocks: LayerBlocks, new: tuple[Tensor, ...], places: Places) -> None:
    """Write the tokens' keys and values, (T, K, E) and (T, K, F), to their slots."""
    native = _native(blocks)
    if native is not None:
        new = tuple(part.float().contiguous() for part in new)
        shape = _shape(blocks, 0, None)
        native.paged_store(
            STORED[blocks.keys.dtype], ctypes.byref(as_native(blocks)), ctypes.byref(shape),
            new[0].data_ptr(), at(new[1] if len(new) > 1 else None), places.slots_T.data_ptr(),
            len(places.slots_T),
        )  # fmt: skip
        return
    block, place = places.slots_T // BLOCK, places.slots_T % BLOCK
    keys, key_scales = _rounded(new[0], blocks.keys.dtype)
    blocks.keys[block, :, :, place] = keys
    if blocks.key_scales is not None:
        blocks.key_scales[block, :, place] = key_scales
    if blocks.values is not None:
        values, value_scales = _rounded(new[1], blocks.values.dtype)
        blocks.values[block, :, place] = values
        if blocks.value_scales is not None:
            blocks.value_scales[block, :, place] = value_scales


def _rounded(vectors: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Vectors (..., E) as ``dtype``, and what to multiply each with (...) to have it back."""
    if dtype != torch.int8:
        return vectors.to(dtype), vectors.new_ones(vectors.shape[:-1])
    scales = vectors.float().abs().amax(-1) / 127
    per_scale = torch.where(scales > 0, 1 / scales, 0)
    return (vectors.float() * per_scale[..., None]).round().to(dtype), scales


def attend(q_THE: Tensor, blocks: LayerBlocks, places: Places, scoring: Scoring) -> Tensor:
    """Attention of each token over what it sees: (T, H, F), float32.

    The window and the slopes of ``scoring`` come on top.
    """
    native = _native(blocks)
    if native is None:
        return attend_formula(q_THE, blocks, places, scoring)
    q_THE = q_THE.float().contiguous()
    shape = _shape(blocks, q_THE.shape[1], scoring)
    out_THF = torch.empty((*q_THE.shape[:2], shape.value_width))
    native.paged_attend(
        STORED[blocks.keys.dtype], q_THE.data_ptr(), ctypes.byref(as_native(blocks)),
        ctypes.byref(places.native()), len(q_THE), ctypes.byref(shape), out_THF.data_ptr(),
    )  # fmt: skip
    return out_THF


def attend_formula(q_THE: Tensor, blocks: LayerBlocks, places: Places, scoring: Scoring) -> Tensor:
    """``attend`` as it is defined, one row of the table at a time."""
    kv_heads = blocks.keys.shape[1]
    groups = q_THE.shape[1] // kv_heads
    out: list[tuple[Tensor, Tensor]] = []
    for row in places.row_T.unique().tolist():
        mine = (places.row_T == row).nonzero()[:, 0]
        seen_T = places.visible_T[mine].long()
        table = places.tables_RW[row, : -(-int(seen_T.max()) // BLOCK)].long()
        k_KES = blocks.keys[table].permute(1, 2, 0, 3).flatten(2).float()
        if blocks.key_scales is not None:
            k_KES = k_KES * blocks.key_scales[table].transpose(0, 1).flatten(1)[:, None]
        v_KSF = k_KES.transpose(1, 2)
        if blocks.values is not None:
            v_KSF = blocks.values[table].transpose(0, 1).flatten(1, 2).float()
            if blocks.value_scales is not None:
                v_KSF = v_KSF * blocks.value_scales[table].transpose(0, 1).flatten(1)[..., None]
        q_KGTE = q_THE[mine].float().view(len(mine), kv_heads, groups, -1).permute(1, 2, 0, 3)
        scores_KGTS = q_KGTE @ k_KES[:, None] * scoring.scale
        distance_TS = seen_T[:, None] - 1 - torch.arange(k_KES.shape[2], device=q_THE.device)
        if scoring.slopes_H is not None:
            slopes_KG11 = scoring.slopes_H.view(kv_heads, groups, 1, 1)
            scores_KGTS = scores_KGTS - slopes_KG11 * distance_TS
        hidden_TS = distance_TS < 0
        if scoring.window:
            hidden_TS |= distance_TS >= scoring.window
        weights_KGTS = scores_KGTS.masked_fill(hidden_TS, -torch.inf).softmax(-1)
        y_TKGF = (weights_KGTS @ v_KSF[:, None]).permute(2, 0, 1, 3)
        out.append((mine, y_TKGF.flatten(1, 2)))
    order, y_THF = torch.cat([mine for mine, _ in out]), torch.cat([y for _, y in out])
    return torch.empty_like(y_THF).index_copy_(0, order, y_THF)


def as_native(blocks: LayerBlocks) -> native_calls.CacheLayer:
    """The blocks for the compiled loops."""
    return native_calls.CacheLayer(*(at(part) for part in blocks))


def _shape(blocks: LayerBlocks, heads: int, scoring: Scoring | None) -> AttentionShape:
    _, kv_heads, key_width, _ = blocks.keys.shape
    value_width = key_width if blocks.values is None else blocks.values.shape[3]
    if scoring is None:
        return AttentionShape(heads, kv_heads, key_width, value_width)
    return AttentionShape(
        heads, kv_heads, key_width, value_width, scoring.window, scoring.scale, at(scoring.slopes_H)
    )


def _native(blocks: LayerBlocks) -> Calls | None:
    if blocks.keys.device.type != "cpu" or blocks.keys.dtype not in STORED:
        return None
    return calls()
