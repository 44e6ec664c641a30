"""Scaled dot-product attention: the formula, the fused kernel, and the choice between them.

All attention of the modules goes through ``attend``. ``explicit_attention`` is the formula, and
runs while the attention weights are watched; PyTorch's fused ``scaled_dot_product_attention`` never
forms the (T, S) weights. A long sequence whose mask that kernel could only take as a table of all
pairs is computed by ``chunked.py``. Tests check that the three agree.

Shapes: B batch, T queries, S keys, H heads, K key/value heads, E head_dim.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from glassmind.model.chunked import chunked_attention
from glassmind.model.scoring import VisibleKeys

WeightsTap = Callable[[Tensor], Tensor]
"""What the attention weights (B, H, T, S) pass through before they multiply the values."""


def attention_weights(q_BHTE: Tensor, k_BKSE: Tensor, mask: Tensor | None, scale: float) -> Tensor:
    """softmax(q·k·scale) over the visible keys: (B, H, T, S), each row sums to 1.

    ``mask`` broadcasts to (B, H, T, S): boolean (True = visible), or floats added to the scores
    (0 = visible, -inf = hidden); ``None`` is causal, the queries being the last T of the keys.
    Every query must see some key.
    """
    groups = q_BHTE.shape[1] // k_BKSE.shape[1]
    if groups > 1:
        k_BKSE = k_BKSE.repeat_interleave(groups, dim=1)
    scores_BHTS = (q_BHTE * scale) @ k_BKSE.transpose(-1, -2)
    if mask is None:
        queries, keys = scores_BHTS.shape[-2:]
        mask = torch.ones(queries, keys, dtype=torch.bool, device=q_BHTE.device).tril(
            keys - queries
        )
    if mask.dtype == torch.bool:
        scores_BHTS = scores_BHTS.masked_fill(~mask, float("-inf"))
    else:
        scores_BHTS = scores_BHTS + mask
    return scores_BHTS.softmax(dim=-1)


def explicit_attention(
    q_BHTE: Tensor,
    k_BKSE: Tensor,
    v_BKSE: Tensor,
    mask: Tensor | None,
    scale: float,
    tap: WeightsTap | None = None,
) -> Tensor:
    """softmax(q kᵀ · scale) v, as written in Vaswani et al. 2017 eq. 1: (B, H, T, E)."""
    groups = q_BHTE.shape[1] // v_BKSE.shape[1]
    if groups > 1:
        v_BKSE = v_BKSE.repeat_interleave(groups, dim=1)
    weights_BHTS = attention_weights(q_BHTE, k_BKSE, mask, scale)
    if tap is not None:
        weights_BHTS = tap(weights_BHTS)
    return weights_BHTS @ v_BKSE


def fused_attention(
    q_BHTE: Tensor, k_BKSE: Tensor, v_BKSE: Tensor, mask: Tensor | None, scale: float
) -> Tensor:
    """The same with PyTorch's kernel, which does not store the weights: (B, H, T, E).

    Without a mask, there must be as many queries as keys, or one query, which sees all keys. For a
    mask that it knows to be causal, the kernel skips the hidden half of the work.
    """
    if mask is not None and mask.dtype not in (torch.bool, q_BHTE.dtype):
        mask = mask.to(q_BHTE.dtype)
    return F.scaled_dot_product_attention(
        q_BHTE,
        k_BKSE,
        v_BKSE,
        attn_mask=mask,
        is_causal=mask is None and q_BHTE.shape[2] > 1,
        scale=scale,
        enable_gqa=q_BHTE.shape[1] != k_BKSE.shape[1],
    )


def attend(
    q_BHTE: Tensor,
    k_BKSE: Tensor,
    v_BKSE: Tensor,
    mask: Tensor | VisibleKeys | None,
    scale: float,
    tap: WeightsTap | None = None,
    first_key: int = 0,
) -> Tensor:
    """Attention under a mask as ``Scoring.lower`` gives it: (B, H, T, E).

    With a ``tap`` the weights are formed, by the formula, and pass through it. ``first_key`` is the
    index of the first key in a ``VisibleKeys``; the queries are the last T of the keys.
    """
    if tap is not None:
        if isinstance(mask, VisibleKeys):
            end = first_key + k_BKSE.shape[2]
            keys = torch.arange(first_key, end, device=q_BHTE.device)
            mask = mask.tile(keys[-q_BHTE.shape[2] :], keys)
        return explicit_attention(q_BHTE, k_BKSE, v_BKSE, mask, scale, tap)
    if isinstance(mask, VisibleKeys):
        return chunked_attention(q_BHTE, k_BKSE, v_BKSE, mask, first_key=first_key)
    return fused_attention(q_BHTE, k_BKSE, v_BKSE, mask, scale)
