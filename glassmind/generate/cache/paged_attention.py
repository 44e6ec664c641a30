"""Attention over keys and values that are scattered over blocks.

A sequence's past is a list of blocks of ``BLOCK`` tokens anywhere in two large tensors
(PagedAttention: Kwon et al. 2023, arXiv 2309.06180). ``tables_RW[r]`` lists the blocks of row *r*
in order: its token *s* is in block ``tables_RW[r, s // BLOCK]`` at place ``s % BLOCK``.

There are two ways to attend over such blocks. On a CPU, ``kernels/attention.hpp`` reads them in
place. On other devices, and whenever attention weights are asked for, ``gathered_attention.py``
copies them together and uses the model's own attention. Tests compare both with the plain formula.

Shapes: T query tokens, R rows, W blocks of the longest row, N blocks of the store, H heads, K kv
heads, E key width, F value width.
"""

from __future__ import annotations

import ctypes

import numpy as np
import torch
from torch import Tensor

from glassmind.generate.cache.gathered_attention import attend_gathered
from glassmind.generate.cache.layout import BLOCK, LayerBlocks, Places
from glassmind.generate.packed import native_calls
from glassmind.generate.packed.native_calls import STORED, AttentionShape, Calls, at, calls
from glassmind.model import Scoring
from glassmind.model.attention_kernels import WeightsTap


def empty_blocks(
    n_blocks: int, kv_heads: int, widths: tuple[int, ...], dtype: torch.dtype, device: torch.device
) -> LayerBlocks:
    """Empty blocks for one layer, to hold float32, bfloat16 or int8."""
    shapes = [(n_blocks, kv_heads, widths[0], BLOCK)]
    shapes += [(n_blocks, kv_heads, BLOCK, width) for width in widths[1:]]
    parts = [_zeros(shape, dtype, device) for shape in shapes]
    keys, values = parts[0], parts[1] if len(parts) > 1 else None
    if dtype != torch.int8:
        return LayerBlocks(keys, values)
    scales = [_zeros((n_blocks, kv_heads, BLOCK), torch.float32, device) for _ in parts]
    return LayerBlocks(keys, values, *scales)


def _zeros(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Zeros, so that a slot that is not written to yet adds nothing when its weight is zero.

    On a CPU, NumPy allocates them: the system then provides memory only when it is first written
    to, and in large pages, which make scattered reads faster.
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
    """Vectors (..., E) rounded to ``dtype``, and the scale (...) of each."""
    if dtype != torch.int8:
        return vectors.to(dtype), vectors.new_ones(vectors.shape[:-1])
    scales = vectors.float().abs().amax(-1) / 127
    per_scale = torch.where(scales > 0, 1 / scales, 0)
    return (vectors.float() * per_scale[..., None]).round().to(dtype), scales


def attend(
    q_THE: Tensor,
    blocks: LayerBlocks,
    places: Places,
    scoring: Scoring,
    tap: WeightsTap | None = None,
) -> Tensor:
    """Attention of each token over the keys it sees: (T, H, F), float32.

    ``scoring`` has the scale, the window and the bias; ALiBi is the only bias that the compiled
    loops support. With a ``tap``, the attention weights are formed and pass through it, as in
    ``attend_gathered``. Masks by steps are ``step_reading``'s: what they hide has left the cache.
    """
    native = _native(blocks)
    beyond = scoring.bias is not None and scoring.slopes_H is None
    if native is None or tap is not None or beyond:
        return attend_gathered(q_THE, blocks, places, scoring, tap)
    q_THE = q_THE.float().contiguous()
    shape = _shape(blocks, q_THE.shape[1], scoring)
    out_THF = torch.empty((*q_THE.shape[:2], shape.value_width))
    native.paged_attend(
        STORED[blocks.keys.dtype], q_THE.data_ptr(), ctypes.byref(as_native(blocks)),
        ctypes.byref(places_for_native(places)), len(q_THE), ctypes.byref(shape),
        out_THF.data_ptr(),
    )  # fmt: skip
    return out_THF


def as_native(blocks: LayerBlocks) -> native_calls.CacheLayer:
    """``blocks`` as the compiled loops take them."""
    return native_calls.CacheLayer(*(at(part) for part in blocks))


def places_for_native(places: Places) -> native_calls.Places:
    """``places`` as the compiled loops take them."""
    tables_RW = places.tables_RW
    return native_calls.Places(
        tables_RW.data_ptr(), tables_RW.shape[1], places.row_T.data_ptr(),
        places.visible_T.data_ptr(), places.slots_T.data_ptr(),
    )  # fmt: skip


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
