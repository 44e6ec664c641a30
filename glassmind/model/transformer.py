"""The transformer: ids in, logits out.

Shapes: B batch, T tokens, S keys, D d_model, V vocabulary.

    x = embed(ids)                           # what each token is
    for each block:
        x = x + attention(norm(x))           # gather from the tokens before
        x = x + feed_forward(norm(x))        # think about it
    logits = unembed(norm(x))                # what may come next

That is the pre-norm decoder every current model is a variation of; ``ModelConfig`` says which.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from glassmind.model.attention import Attention, AttentionKernel
from glassmind.model.cache import Cache
from glassmind.model.config import ModelConfig
from glassmind.model.feed_forward import FeedForward
from glassmind.model.norms import make_norm
from glassmind.model.positions import AbsolutePositions, rope_table
from glassmind.model.probe import Tap


class Block(nn.Module):
    """Attention, then feed-forward, each added to the residual stream (B, T, D)."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.residual_in = Tap()
        self.attention_norm = make_norm(config)
        self.attention = Attention(config, layer)
        self.attention_out = Tap()
        self.residual_mid = Tap()
        self.feed_forward_norm = make_norm(config)
        self.feed_forward = FeedForward(config)
        self.feed_forward_out = Tap()
        self.residual_out = Tap()

    def forward(
        self,
        x_BTD: Tensor,
        rotation: tuple[Tensor, Tensor] | None,
        mask: Tensor | None,
        cache: Cache | None,
    ) -> Tensor:
        x_BTD = self.residual_in(x_BTD)
        gathered = self.attention(self.attention_norm(x_BTD), rotation, mask, cache)
        x_BTD = self.residual_mid(x_BTD + self.attention_out(gathered))
        thought = self.feed_forward(self.feed_forward_norm(x_BTD))
        x_BTD = self.residual_out(x_BTD + self.feed_forward_out(thought))
        return x_BTD

    def silence(self) -> None:
        """Zero the last matrix of both branches: the block then passes its input on unchanged."""
        nn.init.zeros_(self.attention.output.weight)
        nn.init.zeros_(self.feed_forward.down.weight)


class Transformer(nn.Module):
    """A decoder-only language model described by ``config``.

    Weights are initialised from PyTorch's global generator: linear layers and the embedding
    normal with standard deviation 1/√fan_in (0.02 for a tied embedding), and the last matrix of
    every residual branch zero, so that the untrained model is the identity from embedding to
    output and every block earns its contribution (Zhang et al. 2019, arXiv 1901.09321).
    """

    cos: Tensor
    sin: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        if config.vocab_size < 1:
            raise ValueError("vocab_size must be set (it comes from the tokenizer)")
        self.config = config
        self.embed = nn.Embedding(config.vocab_size, config.d_model)
        self.absolute_positions = (
            AbsolutePositions(config)
            if config.positions.kind in ("learned", "sinusoidal")
            else None
        )
        if config.positions.kind == "rope":
            cos, sin = rope_table(config.max_tokens, config.head_dim, config.positions.rope_theta)
            self.register_buffer("cos", cos, persistent=False)
            self.register_buffer("sin", sin, persistent=False)
        self.embedding = Tap()
        self.blocks = nn.ModuleList(Block(config, layer) for layer in range(config.n_layers))
        self.final_norm = make_norm(config)
        self.final = Tap()
        self.unembed = nn.Linear(config.d_model, config.vocab_size, bias=False)
        self._initialise()
        if config.tie_embeddings:
            self.unembed.weight = self.embed.weight

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=1 / math.sqrt(module.in_features))
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for module in self.modules():
            if isinstance(module, Block):
                module.silence()
        nn.init.normal_(self.embed.weight, std=0.02 if self.config.tie_embeddings else 1.0)

    def use_attention_kernel(self, kernel: AttentionKernel) -> None:
        """Choose how attention is computed in every block: ``"fused"`` or ``"explicit"``."""
        for module in self.modules():
            if isinstance(module, Attention):
                module.kernel = kernel

    def hidden(
        self,
        ids_BT: Tensor,
        *,
        positions: Tensor | None = None,
        mask: Tensor | None = None,
        cache: Cache | None = None,
    ) -> Tensor:
        """The final residual stream after its norm, (B, T, D): what the heads read.

        ``positions`` is (T,) or (B, T) and counts from 0 unless given (a cache knows its own).
        ``mask`` is (T, S) or (B, T, S), boolean (True = may attend) or additive floats; ``None``
        is causal. With a cache the mask must be ``None``: the cache decides what is visible.
        """
        _, tokens = ids_BT.shape
        if positions is None and tokens > self.config.max_tokens:
            raise ValueError(
                f"{tokens} tokens are more than the model's context of {self.config.max_tokens}"
            )
        if positions is None:
            positions = (
                torch.arange(tokens, device=ids_BT.device)
                if cache is None
                else cache.positions(tokens)
            )
        if mask is not None and mask.dim() == 3:
            mask = mask.unsqueeze(1)
        x_BTD: Tensor = self.embed(ids_BT)
        if self.absolute_positions is not None:
            x_BTD = x_BTD + self.absolute_positions(positions)
        x_BTD = self.embedding(x_BTD)
        rotation = self.rotation(positions)
        for block in self.blocks:
            x_BTD = block(x_BTD, rotation, mask, cache)
        x_BTD = self.final(self.final_norm(x_BTD))
        return x_BTD

    def rotation(self, positions: Tensor) -> tuple[Tensor, Tensor] | None:
        """RoPE's cosines and sines for these positions; ``None`` for a model without RoPE."""
        if self.config.positions.kind != "rope":
            return None
        return self.cos[positions], self.sin[positions]

    def logits(self, x_BTD: Tensor) -> Tensor:
        """(…, D) hidden states -> (…, V) unnormalised log-probabilities of the next token."""
        logits: Tensor = self.unembed(x_BTD)
        return logits

    def forward(
        self,
        ids_BT: Tensor,
        *,
        positions: Tensor | None = None,
        mask: Tensor | None = None,
        cache: Cache | None = None,
    ) -> Tensor:
        """Logits of the next token at every position, (B, T, V); arguments as in ``hidden``."""
        return self.logits(self.hidden(ids_BT, positions=positions, mask=mask, cache=cache))
