"""Attention in tiles: exact, and never more than a small square of scores at a time.

A softmax over a million keys seems to need all million scores before the first can be divided by
their sum. It does not (Milakov & Gimelshein 2018, arXiv 1805.02867): keep, for each query, the
largest score so far *m*, the sum *l* of exp(score - m), and the equally weighted sum *o* of the
values. When a new tile of keys has a larger score m', everything kept so far is too large by
exp(m' - m), and one multiplication corrects it:

    m' = max(m, max of the tile)
    l' = l · exp(m - m')  +  Σ exp(score - m')
    o' = o · exp(m - m')  +  Σ exp(score - m') · value

At the end the output is o / l. This is the idea of FlashAttention (Dao et al. 2022, 2205.14135),
whose kernels also keep the tile in the fastest memory of the chip. PyTorch's fused kernel does the
same for a plain causal mask; this file is for masks that it cannot express without a table of all
T² pairs: windows, ALiBi, and predicates over long rows.

Training does not store the tiles either. One number per query, m + log l, is enough to recompute
any weight, p = exp(score - (m + log l)), and with it the derivatives, tile by tile (Dao 2023,
2307.08691, §3.1; dX is the derivative of the loss with respect to X):

    dV += pᵀ dO        dS = p · (dO Vᵀ - Σ dO · O)        dQ += dS K        dK += dSᵀ Q

Shapes: B batch, H heads, K kv heads, g heads that share a kv head, T queries, S keys, E head_dim;
of one tile Q queries and k keys.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from glassmind.model.eager import never_compiled
from glassmind.model.scoring import VisibleKeys

TILE = 512  # queries and keys a tile


# Not compiled: which tiles are worth computing is known only when they are looked at.
@never_compiled
def chunked_attention(
    q_BHTE: Tensor,
    k_BKSE: Tensor,
    v_BKSE: Tensor,
    visible_keys: VisibleKeys,
    tile: int = TILE,
    first_key: int = 0,
) -> Tensor:
    """softmax(q kᵀ · scale) v over the visible keys: (B, H, T, E).

    ``visible_keys`` numbers all keys of the sequence; ``k_BKSE`` begins at number ``first_key``,
    and the queries are the last T of its keys. Sums are float32 whatever the inputs. Memory needed
    in addition to the result: a few times ``B · H · tile²`` float32 numbers, and with gradients as
    much again as the inputs. Every query must see some key.
    """
    tiles = Tiles(visible_keys, tile, first_key, q_BHTE.shape[2], k_BKSE.shape[2], k_BKSE.shape[1])
    answer: Tensor = _TiledAttention.apply(  # type: ignore[no-untyped-call]
        q_BHTE, k_BKSE, v_BKSE, tiles
    )
    return answer


@dataclass(frozen=True)
class Tiles:
    """The table of T queries and S keys, cut into tiles."""

    visible_keys: VisibleKeys
    tile: int
    first_key: int
    n_queries: int
    n_keys: int
    kv_heads: int

    def rows(self) -> Iterator[slice]:
        """Blocks of queries, from the first."""
        for start in range(0, self.n_queries, self.tile):
            yield slice(start, min(start + self.tile, self.n_queries))

    def reach(self) -> int:
        """How many indices back a query can look: a window bounds it if positions count by one."""
        window, places = self.visible_keys.scoring.window, self.visible_keys.positions
        in_step = window and places.dim() == 1 and bool((places.diff() == 1).all())
        return window if in_step else self.n_keys

    def seen(self, rows: slice, reach: int) -> Iterator[tuple[slice, Tensor | None]]:
        """The tiles of keys of which a block of queries sees any, and what is added to the scores.

        The latter broadcasts to (B, K, g, Q, k); ``None`` if nothing is added.
        """
        device = self.visible_keys.positions.device
        earlier = self.n_keys - self.n_queries
        queries = torch.arange(rows.start, rows.stop, device=device) + self.first_key + earlier
        first = max(0, earlier + rows.start - reach) // self.tile * self.tile
        # A custom mask may allow later keys; without one, attention is causal.
        last = earlier + rows.stop if self.visible_keys.mask is None else self.n_keys
        for start in range(first, last, self.tile):
            columns = slice(start, min(start + self.tile, last))
            keys = torch.arange(columns.start, columns.stop, device=device) + self.first_key
            added = self.visible_keys.tile(queries, keys)
            if added.dtype == torch.bool:
                if not added.any():
                    continue
                if added.all():
                    yield columns, None
                    continue
                added = torch.zeros((), device=device).masked_fill(~added, -torch.inf)
            elif added.max() == -torch.inf:
                continue
            if added.shape[1] > 1:  # each head has a bias of its own
                yield columns, added.unflatten(1, (self.kv_heads, -1))
            else:
                yield columns, added.unsqueeze(2)


class _TiledAttention(torch.autograd.Function):
    """Forward and backward of attention over ``Tiles``."""

    @staticmethod
    def forward(ctx: Any, q_BHTE: Tensor, k_BKSE: Tensor, v_BKSE: Tensor, tiles: Tiles) -> Tensor:
        batch, heads, n_queries, _ = q_BHTE.shape
        answer_BHTE = v_BKSE.new_empty(batch, heads, n_queries, v_BKSE.shape[-1])
        log_total_BHT1 = q_BHTE.new_empty(batch, heads, n_queries, 1, dtype=torch.float)
        reach = tiles.reach()
        with torch.autocast(q_BHTE.device.type, enabled=False):
            for rows in tiles.rows():
                q_BKrE = _together(q_BHTE[:, :, rows], tiles) * tiles.visible_keys.scoring.scale
                peak = q_BKrE.new_full((*q_BKrE.shape[:-1], 1), -torch.inf)
                total = torch.zeros_like(peak)
                gathered = q_BKrE.new_zeros((*q_BKrE.shape[:-1], v_BKSE.shape[-1]))
                for columns, added in tiles.seen(rows, reach):
                    scores = _scores(q_BKrE, k_BKSE[:, :, columns], added)
                    new_peak = torch.maximum(peak, scores.amax(-1, keepdim=True))
                    # Before a query has seen a key its peak is -inf, and -inf - -inf would be NaN.
                    base = new_peak.masked_fill(new_peak == -torch.inf, 0.0)
                    weights = scores.sub_(base).exp_()
                    shrink = (peak - base).exp_()
                    total = total.mul_(shrink).add_(weights.sum(-1, keepdim=True))
                    gathered = gathered.mul_(shrink).add_(weights @ v_BKSE[:, :, columns].float())
                    peak = new_peak
                answer_BHTE[:, :, rows] = _apart(gathered / total, heads)
                log_total_BHT1[:, :, rows] = _apart(peak + total.log(), heads)
        ctx.tiles = tiles
        ctx.save_for_backward(q_BHTE, k_BKSE, v_BKSE, answer_BHTE, log_total_BHT1)
        return answer_BHTE

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dout_BHTE: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        q_BHTE, k_BKSE, v_BKSE, answer_BHTE, log_total_BHT1 = ctx.saved_tensors
        tiles: Tiles = ctx.tiles
        heads, scale, reach = q_BHTE.shape[1], tiles.visible_keys.scoring.scale, tiles.reach()
        dq_BHTE = torch.empty_like(q_BHTE)
        dk_BKSE, dv_BKSE = (torch.zeros_like(x, dtype=torch.float) for x in (k_BKSE, v_BKSE))
        with torch.autocast(q_BHTE.device.type, enabled=False):
            for rows in tiles.rows():
                q_BKrE = _together(q_BHTE[:, :, rows], tiles) * scale
                dout_BKrE = _together(dout_BHTE[:, :, rows], tiles)
                log_total = _together(log_total_BHT1[:, :, rows], tiles)
                along = (dout_BKrE * _together(answer_BHTE[:, :, rows], tiles)).sum(
                    -1, keepdim=True
                )
                dq_BKrE = torch.zeros_like(q_BKrE)
                for columns, added in tiles.seen(rows, reach):
                    k, v = k_BKSE[:, :, columns].float(), v_BKSE[:, :, columns].float()
                    weights = _scores(q_BKrE, k, added).sub_(log_total).exp_()
                    dv_BKSE[:, :, columns] += weights.mT @ dout_BKrE
                    dscores = (dout_BKrE @ v.mT).sub_(along).mul_(weights)
                    dk_BKSE[:, :, columns] += dscores.mT @ q_BKrE
                    dq_BKrE += dscores @ k
                dq_BHTE[:, :, rows] = _apart(dq_BKrE * scale, heads)
        return dq_BHTE, dk_BKSE.to(k_BKSE.dtype), dv_BKSE.to(v_BKSE.dtype), None


def _together(x_BHQE: Tensor, tiles: Tiles) -> Tensor:
    """The query heads that share a kv head as rows of one matrix, r = g · Q: (B, K, r, E)."""
    batch, _, _, width = x_BHQE.shape
    return x_BHQE.float().reshape(batch, tiles.kv_heads, -1, width)


def _apart(x_BKrE: Tensor, heads: int) -> Tensor:
    """The reverse of ``_together``: (B, H, Q, E)."""
    return x_BKrE.reshape(len(x_BKrE), heads, -1, x_BKrE.shape[-1])


def _scores(q_BKrE: Tensor, k_BKkE: Tensor, added: Tensor | None) -> Tensor:
    """The scores of one tile, (B, K, r, k)."""
    scores = q_BKrE @ k_BKkE.float().mT
    if added is not None:
        scores.unflatten(2, (-1, added.shape[-2])).add_(added)
    return scores
