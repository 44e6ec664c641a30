"""Attention over blocks by copying them together: for GPUs, and for reading attention weights.

Each row's blocks are gathered into one tensor, many rows at once, and the model's own attention
runs over the result. The copy costs memory traffic that a paged kernel avoids (vLLM's reads blocks
in place), but every device can do it with a few large operations.

Shapes: T query tokens of the pass, R rows, Q query tokens of each, W blocks, S = W · BLOCK keys,
H heads, K kv heads, E key width, F value width.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from glassmind.generate.cache.layout import BLOCK, LayerBlocks, Places, RowGroup
from glassmind.model import Scoring
from glassmind.model.attention_kernels import WeightsTap, attend, attention_weights
from glassmind.model.step_marks import StepMarks

MOST_GATHERED = 1 << 27
"""Numbers of gathered keys, values and scores that exist at once; 512 MiB in float32."""


def attend_gathered(
    q_THE: Tensor,
    blocks: LayerBlocks,
    places: Places,
    scoring: Scoring,
    tap: WeightsTap | None = None,
) -> Tensor:
    """Attention of each token over the keys it sees: (T, H, F), float32.

    With a ``tap``, the attention weights of all tokens pass through it at once, as (1, H, T, S)
    with S the length of the longest row; weights of keys that a token does not see are 0.
    """
    value_width = blocks.keys.shape[2] if blocks.values is None else blocks.values.shape[3]
    out_THF = q_THE.new_empty((*q_THE.shape[:2], value_width), dtype=torch.float32)
    if tap is None:
        for group in _pieces(q_THE, blocks, places):
            q_RHQE, k_RKSE, v_RKSF, mask = _gather(q_THE, blocks, group, scoring, places.states)
            y_RHQF = attend(q_RHQE, k_RKSE, v_RKSF, mask, scoring.scale)
            out_THF[group.tokens_RQ] = y_RHQF.transpose(1, 2)
        return out_THF
    longest = BLOCK * max(group.tables_RW.shape[1] for group in places.groups)
    weights_THS = q_THE.new_zeros((*q_THE.shape[:2], longest), dtype=torch.float32)
    for group in _pieces(q_THE, blocks, places):
        q_RHQE, k_RKSE, _, mask = _gather(q_THE, blocks, group, scoring, places.states)
        weights_RHQS = attention_weights(q_RHQE, k_RKSE, mask, scoring.scale)
        weights_THS[group.tokens_RQ, :, : k_RKSE.shape[2]] = weights_RHQS.transpose(1, 2)
    weights_THS = tap(weights_THS.transpose(0, 1)[None])[0].transpose(0, 1)
    for group in _pieces(q_THE, blocks, places):
        _, _, v_RKSF, _ = _gather(q_THE, blocks, group, scoring, places.states)
        v_RHSF = v_RKSF.repeat_interleave(q_THE.shape[1] // v_RKSF.shape[1], dim=1)
        weights_RQHS = weights_THS[group.tokens_RQ, :, : v_RKSF.shape[2]]
        y_RHQF = weights_RQHS.transpose(1, 2) @ v_RHSF
        out_THF[group.tokens_RQ] = y_RHQF.transpose(1, 2)
    return out_THF


def _pieces(q_THE: Tensor, blocks: LayerBlocks, places: Places) -> Iterator[RowGroup]:
    """The groups of rows, cut into pieces whose gathered numbers fit ``MOST_GATHERED``."""
    kept = blocks.keys.shape[1] * sum(
        part.shape[2] * part.shape[3] // BLOCK
        for part in (blocks.keys, blocks.values)
        if part is not None
    )
    for group in places.groups:
        a_key = kept + q_THE.shape[1] * group.tokens_RQ.shape[1]
        most = max(1, MOST_GATHERED // (a_key * group.tables_RW.shape[1] * BLOCK))
        yield from map(RowGroup._make, zip(*(part.split(most) for part in group), strict=True))


def _gather(
    q_THE: Tensor,
    blocks: LayerBlocks,
    group: RowGroup,
    scoring: Scoring,
    states: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Queries (R, H, Q, E), keys (R, K, S, E), values (R, K, S, F), and a mask for ``attend``."""
    tables_RW, tokens_RQ, visible_RQ = group
    q_RHQE = q_THE[tokens_RQ].transpose(1, 2).float()
    k_RKSE = blocks.keys[tables_RW].permute(0, 2, 1, 4, 3).flatten(2, 3).float()
    if blocks.key_scales is not None:
        k_RKSE = k_RKSE * blocks.key_scales[tables_RW].transpose(1, 2).flatten(2)[..., None]
    keys_S = torch.arange(k_RKSE.shape[2], device=q_THE.device)
    # A row's table may continue with blocks of other rows. Their content must not affect the
    # result, not even as 0 · NaN.
    foreign_R1S1 = (keys_S >= visible_RQ.amax(1, keepdim=True))[:, None, :, None]
    k_RKSE = k_RKSE.masked_fill(foreign_R1S1, 0)
    v_RKSF = k_RKSE
    if blocks.values is not None:
        v_RKSF = blocks.values[tables_RW].transpose(1, 2).flatten(2, 3).float()
        if blocks.value_scales is not None:
            v_RKSF = v_RKSF * blocks.value_scales[tables_RW].transpose(1, 2).flatten(2)[..., None]
        v_RKSF = v_RKSF.masked_fill(foreign_R1S1, 0)
    distance_R1QS = (visible_RQ[..., None] - 1 - keys_S)[:, None]
    visible = distance_R1QS >= 0
    if scoring.window:
        visible = visible & (distance_R1QS < scoring.window)
    if scoring.bias is None:
        return q_RHQE, k_RKSE, v_RKSF, visible
    steps = None
    if states is not None:
        keys = StepMarks.of_states(states[tables_RW].flatten(1, 2).long())
        steps = (keys.at(visible_RQ - 1), keys)
    bias_RHQS = scoring.bias(distance_R1QS, steps).masked_fill(~visible, -torch.inf)
    return q_RHQE, k_RKSE, v_RKSF, bias_RHQS
