"""Attention in tiles: exact, and never more than a small square of scores at a time.

A softmax over a million keys seems to need all million scores before the first can be divided by
their sum. It does not (Milakov & Gimelshein 2018, arXiv 1805.02867): keep, for each query, the
largest score so far *m*, the sum *l* of exp(score - m), and the equally weighted sum *o* of the
values. When a new tile of keys brings a larger score m', everything kept so far is too large by
exp(m' - m), and one multiplication mends it:

    m' = max(m, max of the tile)
    l' = l · exp(m - m')  +  Σ exp(score - m')
    o' = o · exp(m - m')  +  Σ exp(score - m') · value

At the end the answer is o / l. That is all of FlashAttention's idea (Dao et al. 2022, 2205.14135);
what its kernels add is keeping the tile in the fastest memory of the chip. PyTorch's fused
kernel does the same for a plain causal mask; this file is for masks it cannot express without
a table of all T² pairs: windows, ALiBi, and predicates over long rows.

Training keeps no tile either: the backward pass computes each block of queries again
(Chen et al. 2016, 1604.06174).

Shapes: B batch, H heads, K kv heads, T tokens, E head_dim.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from glassmind.model.scoring import Sight

TILE = 512  # queries and keys a tile


def chunked_attention(
    q_BHTE: Tensor, k_BKTE: Tensor, v_BKTE: Tensor, sight: Sight, tile: int = TILE
) -> Tensor:
    """softmax(q kᵀ · scale, as far as ``sight`` lets see) v: (B, H, T, E).

    Queries see only keys up to their own index, whatever else the mask says. Memory beside the
    result: a few times ``B · H · tile²`` numbers. Every query must see some key.
    """
    tokens = q_BHTE.shape[2]
    # A window bounds how many indices back a query can look, if positions count up by one.
    in_step = sight.positions.dim() == 1 and bool((sight.positions.diff() == 1).all())
    reach = sight.scoring.window if sight.scoring.window and in_step else tokens
    rows = []
    for start in range(0, tokens, tile):
        end = min(start + tile, tokens)
        first = max(0, start - reach) // tile * tile
        given = (q_BHTE[:, :, start:end], k_BKTE[:, :, first:end], v_BKTE[:, :, first:end])
        if torch.is_grad_enabled() and q_BHTE.requires_grad:
            rows.append(checkpoint(_rows, *given, sight, start, first, tile, use_reentrant=False))
        else:
            rows.append(_rows(*given, sight, start, first, tile))
    return torch.cat(rows, dim=2)


def _rows(
    q_BHQE: Tensor,
    k_BKSE: Tensor,
    v_BKSE: Tensor,
    sight: Sight,
    query_offset: int,
    key_offset: int,
    tile: int,
) -> Tensor:
    """The answers of one block of queries: (B, H, Q, E); offsets are the first index of each."""
    batch, heads, n_queries, _ = q_BHQE.shape
    kv_heads = k_BKSE.shape[1]
    # The query heads that share a key head stand together, as rows of one matrix product.
    q_BKgQE = q_BHQE.reshape(batch, kv_heads, heads // kv_heads, n_queries, -1)
    q_BKgQE = q_BKgQE.float() * sight.scoring.scale
    shape = q_BKgQE.shape[:-1]
    peak = q_BKgQE.new_full((*shape, 1), -torch.inf)
    total = q_BKgQE.new_zeros((*shape, 1))
    gathered = q_BKgQE.new_zeros((*shape, v_BKSE.shape[-1]))
    device = q_BHQE.device
    queries = torch.arange(query_offset, query_offset + n_queries, device=device)
    for start in range(0, k_BKSE.shape[2], tile):
        k_BK1SE = k_BKSE[:, :, None, start : start + tile].float()
        v_BK1SE = v_BKSE[:, :, None, start : start + tile].float()
        n_keys = k_BK1SE.shape[3]
        keys = torch.arange(key_offset + start, key_offset + start + n_keys, device=device)
        allowed = sight.tile(queries, keys)
        if allowed.dtype == torch.bool:
            if not allowed.any():
                continue
            allowed = allowed.new_zeros((), dtype=torch.float).masked_fill(~allowed, -torch.inf)
        if allowed.shape[1] > 1:  # one handicap a head
            allowed = allowed.reshape(allowed.shape[0], kv_heads, -1, n_queries, n_keys)
        else:
            allowed = allowed.unsqueeze(2)
        scores = q_BKgQE @ k_BK1SE.transpose(-1, -2) + allowed
        new_peak = torch.maximum(peak, scores.amax(-1, keepdim=True))
        # While a query has seen nothing its peak is -inf, and -inf - -inf would not be a number.
        base = new_peak.masked_fill(new_peak == -torch.inf, 0.0)
        weights = (scores - base).exp()
        shrink = (peak - base).exp()
        total = total * shrink + weights.sum(-1, keepdim=True)
        gathered = gathered * shrink + weights @ v_BK1SE
        peak = new_peak
    answer = (gathered / total).to(v_BKSE.dtype)
    return answer.reshape(batch, heads, n_queries, -1)
