"""Attention: every token asks a question of the tokens it may see and takes in their answers.

Shapes: B batch, T tokens, S keys, D d_model, H heads, K key/value heads, E head_dim.

The same arithmetic stands here twice, and a test holds the two equal. ``explicit_attention`` is the
formula, and the one that runs when somebody watches the attention weights; PyTorch's fused
``scaled_dot_product_attention`` never forms the (T, S) weights at all. Where a long sequence has a
mask that kernel can only take as a table of all pairs, both hand over to ``chunked.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glassmind.model.cache import Cache
from glassmind.model.chunked import chunked_attention
from glassmind.model.config import ModelConfig
from glassmind.model.norms import make_norm
from glassmind.model.positions import alibi_slopes, rotate
from glassmind.model.probe import Tap
from glassmind.model.scoring import Scoring, VisibleKeys


def attention_weights(q_BHTE: Tensor, k_BKSE: Tensor, mask: Tensor | None, scale: float) -> Tensor:
    """softmax(q·k·scale) over the visible keys: (B, H, T, S), each row sums to 1.

    ``mask`` broadcasts to (B, H, T, S): boolean (True = visible), or floats added to the scores
    (0 = visible, -inf = hidden); ``None`` is causal, for T = S. Every query must see some key.
    """
    groups = q_BHTE.shape[1] // k_BKSE.shape[1]
    if groups > 1:
        k_BKSE = k_BKSE.repeat_interleave(groups, dim=1)
    scores_BHTS = (q_BHTE * scale) @ k_BKSE.transpose(-1, -2)
    if mask is None:
        mask = torch.ones(scores_BHTS.shape[-2:], dtype=torch.bool, device=q_BHTE.device).tril()
    if mask.dtype == torch.bool:
        scores_BHTS = scores_BHTS.masked_fill(~mask, float("-inf"))
    else:
        scores_BHTS = scores_BHTS + mask
    return scores_BHTS.softmax(dim=-1)


def explicit_attention(
    q_BHTE: Tensor, k_BKSE: Tensor, v_BKSE: Tensor, mask: Tensor | None, scale: float
) -> Tensor:
    """softmax(q kᵀ · scale) v, as written in Vaswani et al. 2017 eq. 1: (B, H, T, E)."""
    groups = q_BHTE.shape[1] // v_BKSE.shape[1]
    if groups > 1:
        v_BKSE = v_BKSE.repeat_interleave(groups, dim=1)
    return attention_weights(q_BHTE, k_BKSE, mask, scale) @ v_BKSE


def fused_attention(
    q_BHTE: Tensor, k_BKSE: Tensor, v_BKSE: Tensor, mask: Tensor | None, scale: float
) -> Tensor:
    """The same through PyTorch's kernel, which keeps no weights: (B, H, T, E).

    Told that a mask is causal, the kernel skips the half of the work that would be hidden.
    """
    if mask is not None and mask.dtype not in (torch.bool, q_BHTE.dtype):
        mask = mask.to(q_BHTE.dtype)
    return F.scaled_dot_product_attention(
        q_BHTE,
        k_BKSE,
        v_BKSE,
        attn_mask=mask,
        is_causal=mask is None,
        scale=scale,
        enable_gqa=q_BHTE.shape[1] != k_BKSE.shape[1],
    )


AttentionKernel = Literal["fused", "explicit"]
ATTENTION_KERNELS: dict[AttentionKernel, Callable[..., Tensor]] = {
    "fused": fused_attention,
    "explicit": explicit_attention,
}


def attend(
    q_BHTE: Tensor,
    k_BKTE: Tensor,
    v_BKTE: Tensor,
    mask: Tensor | VisibleKeys | None,
    scale: float,
    kernel: AttentionKernel = "fused",
) -> Tensor:
    """Attention under a mask lowered by ``Scoring.lower``: (B, H, T, E)."""
    if isinstance(mask, VisibleKeys):
        return chunked_attention(q_BHTE, k_BKTE, v_BKTE, mask)
    return ATTENTION_KERNELS[kernel](q_BHTE, k_BKTE, v_BKTE, mask, scale)


class AttentionLayer(nn.Module):
    """What both kinds of attention share: how scores are formed, which kernel runs, the taps.

    Taps: ``q`` (B, H, T, E) and ``k``, ``v`` (B, K, T, E) after norm and rotation, ``weights`` (B,
    H, T, S), ``heads`` (B, H, T, E) the heads' outputs before they are mixed. A cache attends in
    its own way and forms no weights: watch them in a pass without one.
    """

    slopes: Tensor | None
    output: nn.Linear  # mixes the heads

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.layer = layer
        self.kernel: AttentionKernel = "fused"
        self.n_heads = config.attention.n_heads
        self.scale = config.attention.scale or config.head_dim**-0.5
        self.window = config.layer(layer).window
        slopes = alibi_slopes(self.n_heads) if config.positions.kind == "alibi" else None
        self.register_buffer("slopes", slopes, persistent=False)
        self.q, self.k, self.v, self.weights, self.heads = Tap(), Tap(), Tap(), Tap(), Tap()

    @property
    def scoring(self) -> Scoring:
        """How this layer turns q·k into scores."""
        return Scoring(self.scale, self.window, self.slopes)

    def attend(
        self, q_BHTE: Tensor, k_BKTE: Tensor, v_BKTE: Tensor, mask: Tensor | VisibleKeys | None
    ) -> Tensor:
        """Attention without a cache, by the chosen kernel or, when watched, by the formula."""
        if self.weights.watched:
            if isinstance(mask, VisibleKeys):
                every = torch.arange(q_BHTE.shape[2], device=q_BHTE.device)
                mask = mask.tile(every, every)
            weights = self.weights(attention_weights(q_BHTE, k_BKTE, mask, self.scale))
            groups = q_BHTE.shape[1] // k_BKTE.shape[1]
            return weights @ v_BKTE.repeat_interleave(groups, dim=1)
        return attend(q_BHTE, k_BKTE, v_BKTE, mask, self.scale, self.kernel)


class Attention(AttentionLayer):
    """Multi-head or grouped-query self-attention of one block."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__(config, layer)
        attention = config.attention
        self.n_kv_heads, self.head_dim = config.n_kv_heads, config.head_dim
        q_width, kv_width = self.n_heads * self.head_dim, self.n_kv_heads * self.head_dim
        self.query = nn.Linear(config.d_model, q_width, bias=attention.bias)
        self.key = nn.Linear(config.d_model, kv_width, bias=attention.bias)
        self.value = nn.Linear(config.d_model, kv_width, bias=attention.bias)
        self.norm_all_heads = attention.qk_norm_over == "all"
        widths = (q_width, kv_width) if self.norm_all_heads else (self.head_dim, self.head_dim)
        self.query_norm = make_norm(config, widths[0]) if attention.qk_norm else None
        self.key_norm = make_norm(config, widths[1]) if attention.qk_norm else None
        self.output = nn.Linear(q_width, config.d_model, bias=attention.output_bias)

    def forward(
        self,
        x_BTD: Tensor,
        rotation: tuple[Tensor, Tensor] | None,
        mask: Tensor | VisibleKeys | None,
        cache: Cache | None,
    ) -> Tensor:
        batch, tokens, _ = x_BTD.shape
        q, k, v = self.query(x_BTD), self.key(x_BTD), self.value(x_BTD)
        if self.query_norm is not None and self.key_norm is not None and self.norm_all_heads:
            q, k = self.query_norm(q), self.key_norm(k)
        q = q.view(batch, tokens, self.n_heads, self.head_dim)
        k = k.view(batch, tokens, self.n_kv_heads, self.head_dim)
        v = v.view(batch, tokens, self.n_kv_heads, self.head_dim)
        if self.query_norm is not None and self.key_norm is not None and not self.norm_all_heads:
            q, k = self.query_norm(q), self.key_norm(k)
        if rotation is not None:
            q, k = rotate(q, *rotation), rotate(k, *rotation)
        q_BHTE = self.q(q.transpose(1, 2))
        k_BKTE = self.k(k.transpose(1, 2))
        v_BKTE = self.v(v.transpose(1, 2))
        if cache is not None:
            y_BHTE = cache.attend(self.layer, q_BHTE, k_BKTE, v_BKTE, self.scoring)
        else:
            y_BHTE = self.attend(q_BHTE, k_BKTE, v_BKTE, mask)
        y_BTHE = self.heads(y_BHTE).transpose(1, 2)
        mixed_BTD: Tensor = self.output(y_BTHE.reshape(batch, tokens, -1))
        return mixed_BTD
