"""Multi-head latent attention: all heads' keys and values in one short vector.

The KV cache of many heads is what limits long contexts. Grouped-query attention lets heads share;
latent attention (DeepSeek-V2: Liu et al. 2024, arXiv 2405.04434, §2.1) lets every head keep its own
key and value, but makes all of them, by a matrix each, from one latent vector *c* of the token:

    c = norm(x · W_down)          k_h = c · W_key_h          v_h = c · W_value_h

and caches only *c*. RoPE cannot be applied to k_h, since a position-dependent rotation would come
between W_key and the query, so the position is in a small extra key, shared by all heads.

During generation, keys are never unpacked: q_h · (c · W_key_h) = (q_h · W_key_hᵀ) · c, so each head
maps its query into the space of the latents instead. There all heads attend with the *same* keys
(the latents, followed by the rotated part) and the same values: to the cache it is multi-query
attention with one wide head.

Shapes: B batch, T tokens, H heads, C content width, R rotated width, V value width, L latent.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glassmind.model.attention import AttentionLayer
from glassmind.model.cache import Cache
from glassmind.model.config import ModelConfig
from glassmind.model.norms import make_norm
from glassmind.model.positions import ScoreBias, rotate, yarn_sharpness
from glassmind.model.scoring import VisibleKeys


class LatentAttention(AttentionLayer):
    """Drop-in for ``Attention``; with a cache, tap ``k`` is the latent (B, 1, T, L + R)."""

    def __init__(self, config: ModelConfig, layer: int, bias: ScoreBias | None = None) -> None:
        super().__init__(config, layer, bias)
        latent = config.attention.latent
        self.content_dim, self.rope_dim = latent.content_dim, latent.rope_dim
        self.value_dim, self.kv_rank = latent.value_dim, latent.kv_rank
        scaling = config.positions.scaling
        if scaling.kind == "yarn" and scaling.sharpness_all:
            # DeepSeek sharpens the scores here instead of through cosine and sine.
            self.scale *= yarn_sharpness(scaling.factor, scaling.sharpness_all) ** 2
        heads, width = self.n_heads, self.content_dim + self.rope_dim
        self.query_down = self.query_norm = None
        if latent.q_rank:
            self.query_down = nn.Linear(config.d_model, latent.q_rank, bias=False)
            self.query_norm = make_norm(config, latent.q_rank)
        self.query = nn.Linear(latent.q_rank or config.d_model, heads * width, bias=False)
        self.latent_down = nn.Linear(config.d_model, self.kv_rank + self.rope_dim, bias=False)
        self.latent_norm = make_norm(config, self.kv_rank)
        self.key = nn.Linear(self.kv_rank, heads * self.content_dim, bias=False)
        self.value = nn.Linear(self.kv_rank, heads * self.value_dim, bias=False)
        self.output = nn.Linear(
            heads * self.value_dim, config.d_model, bias=config.attention.output_bias
        )

    def forward(
        self,
        x_BTD: Tensor,
        rotation: tuple[Tensor, Tensor] | None,
        mask: Tensor | VisibleKeys | None,
        cache: Cache | None,
    ) -> Tensor:
        batch, tokens, _ = x_BTD.shape
        if self.query_down is None or self.query_norm is None:
            q = self.query(x_BTD)
        else:
            q = self.query(self.query_norm(self.query_down(x_BTD)))
        q_BTHE = q.view(batch, tokens, self.n_heads, -1)
        content_BTHC, turned_BTHR = q_BTHE.split((self.content_dim, self.rope_dim), dim=-1)
        latent_BTL, key_BTR = self.latent_down(x_BTD).split((self.kv_rank, self.rope_dim), dim=-1)
        latent_BTL = self.latent_norm(latent_BTL)
        key_BT1R = key_BTR.unsqueeze(2)
        if rotation is not None:
            turned_BTHR, key_BT1R = rotate(turned_BTHR, *rotation), rotate(key_BT1R, *rotation)
        if cache is None:
            y_BHTV = self._unpacked(content_BTHC, turned_BTHR, latent_BTL, key_BT1R, mask)
        else:
            y_BHTV = self._packed(content_BTHC, turned_BTHR, latent_BTL, key_BT1R, cache)
        y_BTHV = self.heads(y_BHTV).transpose(1, 2)
        mixed_BTD: Tensor = self.output(y_BTHV.reshape(batch, tokens, -1))
        return mixed_BTD

    def _unpacked(
        self,
        content_BTHC: Tensor,
        turned_BTHR: Tensor,
        latent_BTL: Tensor,
        key_BT1R: Tensor,
        mask: Tensor | VisibleKeys | None,
    ) -> Tensor:
        """Attention with keys and values computed for every head: best with many queries."""
        batch, tokens, heads, _ = content_BTHC.shape
        k_BTHC = self.key(latent_BTL).view(batch, tokens, heads, -1)
        v_BTHV = self.value(latent_BTL).view(batch, tokens, heads, -1)
        k_BTHE = torch.cat((k_BTHC, key_BT1R.expand(-1, -1, heads, -1)), dim=-1)
        q_BHTE = self.q(torch.cat((content_BTHC, turned_BTHR), dim=-1).transpose(1, 2))
        k_BHTE = self.k(k_BTHE.transpose(1, 2))
        v_BHTV = self.v(v_BTHV.transpose(1, 2))
        # The fused kernel needs values as wide as keys; padding with zeros changes nothing.
        missing = k_BHTE.shape[-1] - self.value_dim
        padded = F.pad(v_BHTV, (0, missing)) if missing > 0 else v_BHTV
        return self.attend(q_BHTE, k_BHTE, padded, mask)[..., : self.value_dim]

    def _packed(
        self,
        content_BTHC: Tensor,
        turned_BTHR: Tensor,
        latent_BTL: Tensor,
        key_BT1R: Tensor,
        cache: Cache,
    ) -> Tensor:
        """Attention in the space of the latents: best with a long past and few queries."""
        key_HCL = self.key.weight.view(self.n_heads, self.content_dim, self.kv_rank)
        value_HVL = self.value.weight.view(self.n_heads, self.value_dim, self.kv_rank)
        q_BHTL = torch.einsum("bthc,hcl->bhtl", content_BTHC, key_HCL)
        q_BHTE = self.q(torch.cat((q_BHTL, turned_BTHR.transpose(1, 2)), dim=-1))
        k_B1TE = self.k(torch.cat((latent_BTL.unsqueeze(2), key_BT1R), dim=-1).transpose(1, 2))
        y_BHTE = cache.attend(self.layer, q_BHTE, k_B1TE, None, self.scoring, self.weights_tap)
        return torch.einsum("bhtl,hvl->bhtv", y_BHTE[..., : self.kv_rank], value_HVL)
