"""Attention: every token gathers information from the tokens that it may see.

Shapes: B batch, T tokens, S keys, D d_model, H heads, K key/value heads, E head_dim.

This file computes queries, keys and values and mixes the heads; ``attention_kernels.py`` has the
computation in between.
"""

from __future__ import annotations

from torch import Tensor, nn

from glassmind.model.attention_kernels import WeightsTap, attend
from glassmind.model.cache import Cache
from glassmind.model.config import ModelConfig
from glassmind.model.norms import make_norm
from glassmind.model.positions import ScoreBias, rotate
from glassmind.model.scoring import Scoring, VisibleKeys
from glassmind.model.taps import Tap


class AttentionLayer(nn.Module):
    """What both kinds of attention share: how scores are formed, and the taps.

    Taps: ``q`` (B, H, T, E) and ``k``, ``v`` (B, K, T, E) after norm and rotation, ``weights`` (B,
    H, T, S), ``heads`` (B, H, T, E) the heads' outputs before they are mixed. No fast kernel forms
    the weights, so while ``weights`` is watched the explicit formula runs instead, with or without
    a cache.
    """

    output: nn.Linear  # mixes the heads

    def __init__(self, config: ModelConfig, layer: int, bias: ScoreBias | None = None) -> None:
        super().__init__()
        self.layer = layer
        self.n_heads = config.attention.n_heads
        self.scale = config.attention.scale or config.head_dim**-0.5
        self.window = config.layer(layer).window
        self.steps = config.reasoning.mask
        self._bias = (bias,)  # in a tuple, so that it is a submodule of the model alone
        self.q, self.k, self.v, self.weights, self.heads = Tap(), Tap(), Tap(), Tap(), Tap()

    @property
    def scoring(self) -> Scoring:
        """How this layer turns q·k into scores."""
        return Scoring(self.scale, self.window, self._bias[0], self.steps)

    @property
    def weights_tap(self) -> WeightsTap | None:
        """The tap ``weights``, if it is watched."""
        return self.weights if self.weights.watched else None

    def attend(
        self, q_BHTE: Tensor, k_BKTE: Tensor, v_BKTE: Tensor, mask: Tensor | VisibleKeys | None
    ) -> Tensor:
        """Attention without a cache: (B, H, T, E)."""
        return attend(q_BHTE, k_BKTE, v_BKTE, mask, self.scale, self.weights_tap)


class Attention(AttentionLayer):
    """Multi-head or grouped-query self-attention of one block."""

    def __init__(self, config: ModelConfig, layer: int, bias: ScoreBias | None = None) -> None:
        super().__init__(config, layer, bias)
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

    def queries_and_keys(
        self, x_BTD: Tensor, rotation: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, Tensor]:
        """Queries (B, T, H, E) and keys (B, T, K, E), after norm and rotation."""
        return self._in_heads(self.query(x_BTD), self.key(x_BTD), rotation)

    def _in_heads(
        self, q: Tensor, k: Tensor, rotation: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, Tensor]:
        batch, tokens, _ = q.shape
        if self.query_norm is not None and self.key_norm is not None and self.norm_all_heads:
            q, k = self.query_norm(q), self.key_norm(k)
        q = q.view(batch, tokens, self.n_heads, self.head_dim)
        k = k.view(batch, tokens, self.n_kv_heads, self.head_dim)
        if self.query_norm is not None and self.key_norm is not None and not self.norm_all_heads:
            q, k = self.query_norm(q), self.key_norm(k)
        if rotation is not None:
            q, k = rotate(q, *rotation), rotate(k, *rotation)
        return q, k

    def forward(
        self,
        x_BTD: Tensor,
        rotation: tuple[Tensor, Tensor] | None,
        mask: Tensor | VisibleKeys | None,
        cache: Cache | None,
    ) -> Tensor:
        batch, tokens, _ = x_BTD.shape
        q, k, v = self.query(x_BTD), self.key(x_BTD), self.value(x_BTD)
        q, k = self._in_heads(q, k, rotation)
        v = v.view(batch, tokens, self.n_kv_heads, self.head_dim)
        q_BHTE = self.q(q.transpose(1, 2))
        k_BKTE = self.k(k.transpose(1, 2))
        v_BKTE = self.v(v.transpose(1, 2))
        if cache is not None:
            y_BHTE = cache.attend(
                self.layer, q_BHTE, k_BKTE, v_BKTE, self.scoring, self.weights_tap
            )
        else:
            y_BHTE = self.attend(q_BHTE, k_BKTE, v_BKTE, mask)
        y_BTHE = self.heads(y_BHTE).transpose(1, 2)
        mixed_BTD: Tensor = self.output(y_BTHE.reshape(batch, tokens, -1))
        return mixed_BTD
