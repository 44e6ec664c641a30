"""Attention over keys and values that lie scattered in blocks.

A sequence's past is a list of blocks of ``BLOCK`` tokens anywhere in two big stores
(PagedAttention: Kwon et al. 2023, arXiv 2309.06180). ``tables_RW[r]`` names the blocks of row *r*
in order, so token *s* of it lies in block ``tables_RW[r, s // BLOCK]`` at place ``s % BLOCK``.

``attend_formula`` gathers a row's blocks into one piece and writes attention out; it runs anywhere
and is the one to read. ``paged_attention.cpp`` does the same without the gathering, and a test
holds the two together.

Shapes: T query tokens, R rows, W blocks of the longest row, N blocks of the store, H heads, K kv
heads, E key width, F value width, S keys.
"""

from __future__ import annotations

import ctypes

import numpy as np
import torch
from torch import Tensor

from glassmind.generate.native import library
from glassmind.model import Scoring

BLOCK = 16
"""Tokens of a block."""

STORED = {torch.float32: "float32", torch.bfloat16: "bfloat16"}


def empty_blocks(
    n_blocks: int, kv_heads: int, widths: tuple[int, ...], dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, ...]:
    """Room for one layer: keys (N, K, E, BLOCK), transposed within a block, and, unless keys
    serve as values too, values (N, K, BLOCK, F)."""
    keys = _zeros((n_blocks, kv_heads, widths[0], BLOCK), dtype, device)
    if len(widths) == 1:
        return (keys,)
    return keys, _zeros((n_blocks, kv_heads, BLOCK, widths[1]), dtype, device)


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


def store(blocks: tuple[Tensor, ...], new: tuple[Tensor, ...], slots_T: Tensor) -> None:
    """Write the tokens' keys and values, (T, K, E) and (T, K, F), to ``slots_T``.

    A slot (int64) is ``block * BLOCK + place``.
    """
    native = _native(blocks[0])
    if native is not None:
        new = tuple(part.to(blocks[0].dtype).contiguous() for part in new)
        native.store(blocks, new, slots_T)
        return
    block, place = slots_T // BLOCK, slots_T % BLOCK
    blocks[0][block, :, :, place] = new[0].to(blocks[0].dtype)
    if len(blocks) > 1:
        blocks[1][block, :, place] = new[1].to(blocks[1].dtype)


def attend(
    q_THE: Tensor,
    blocks: tuple[Tensor, ...],
    tables_RW: Tensor,
    row_T: Tensor,
    visible_T: Tensor,
    scoring: Scoring,
) -> Tensor:
    """Attention of token *t* over the first ``visible_T[t]`` keys of row ``row_T[t]``: (T, H, F).

    ``tables_RW``, ``row_T`` and ``visible_T`` are int32. The window and the slopes of ``scoring``
    come on top.
    """
    native = _native(blocks[0])
    if native is None:
        return attend_formula(q_THE, blocks, tables_RW, row_T, visible_T, scoring)
    return native.attend(q_THE, blocks, tables_RW, row_T, visible_T, scoring)


def attend_formula(
    q_THE: Tensor,
    blocks: tuple[Tensor, ...],
    tables_RW: Tensor,
    row_T: Tensor,
    visible_T: Tensor,
    scoring: Scoring,
) -> Tensor:
    """``attend`` as it is defined, one row of the table at a time."""
    kv_heads = blocks[0].shape[1]
    groups = q_THE.shape[1] // kv_heads
    width = blocks[-1].shape[3] if len(blocks) > 1 else blocks[0].shape[2]
    out_THF = q_THE.new_empty((*q_THE.shape[:2], width))
    for row in row_T.unique().tolist():
        mine = (row_T == row).nonzero()[:, 0]
        seen_T = visible_T[mine].long()
        table = tables_RW[row, : -(-int(seen_T.max()) // BLOCK)].long()
        k_KES = blocks[0][table].permute(1, 2, 0, 3).flatten(2).float()
        v_KSF = k_KES.transpose(1, 2)
        if len(blocks) > 1:
            v_KSF = blocks[1][table].transpose(0, 1).flatten(1, 2).float()
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
        out_THF[mine] = y_TKGF.reshape(len(mine), -1, width).to(q_THE.dtype)
    return out_THF


class _Native:
    """The compiled loops for one kind of stored number."""

    def __init__(self, loaded: ctypes.CDLL, name: str) -> None:
        self._store = getattr(loaded, f"paged_store_{name}")
        self._attend = getattr(loaded, f"paged_attend_{name}")
        self._store.restype = self._attend.restype = None
        integer, pointer = ctypes.c_int64, ctypes.c_void_p
        self._store.argtypes = [*[pointer] * 5, *[integer] * 4]
        self._attend.argtypes = [*[pointer] * 4, integer, pointer, pointer, integer, pointer,
                                 *[integer] * 5, ctypes.c_float, pointer]  # fmt: skip

    def store(self, blocks: tuple[Tensor, ...], new: tuple[Tensor, ...], slots_T: Tensor) -> None:
        keys, values = blocks[0], blocks[1] if len(blocks) > 1 else None
        new_values = new[1] if len(blocks) > 1 else None
        self._store(
            keys.data_ptr(), _at(values), new[0].data_ptr(), _at(new_values), slots_T.data_ptr(),
            len(slots_T), keys.shape[1], keys.shape[2], 0 if values is None else values.shape[3],
        )  # fmt: skip

    def attend(
        self,
        q_THE: Tensor,
        blocks: tuple[Tensor, ...],
        tables_RW: Tensor,
        row_T: Tensor,
        visible_T: Tensor,
        scoring: Scoring,
    ) -> Tensor:
        keys, values = blocks[0], blocks[1] if len(blocks) > 1 else None
        tokens, heads, width = q_THE.shape
        q_THE = q_THE.float().contiguous()
        value_width = width if values is None else values.shape[3]
        out_THF = torch.empty((tokens, heads, value_width))
        self._attend(
            q_THE.data_ptr(), keys.data_ptr(), _at(values), tables_RW.data_ptr(),
            tables_RW.shape[1], row_T.data_ptr(), visible_T.data_ptr(), tokens,
            _at(scoring.slopes_H), heads, keys.shape[1], width, value_width, scoring.window,
            scoring.scale, out_THF.data_ptr(),
        )  # fmt: skip
        return out_THF


def _at(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()


_loaded: dict[torch.dtype, _Native | None] = {}


def _native(keys: Tensor) -> _Native | None:
    if keys.device.type != "cpu" or keys.dtype not in STORED:
        return None
    if keys.dtype not in _loaded:
        loaded = library("paged_attention")
        _loaded[keys.dtype] = None if loaded is None else _Native(loaded, STORED[keys.dtype])
    return _loaded[keys.dtype]
