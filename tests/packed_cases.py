"""Small models of every kind that the compiled pass knows, and their logits read in pieces."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from glassmind.generate import PackedModel
from glassmind.generate.cache.paged_cache import PagedCache
from glassmind.model import AttentionConfig, ModelConfig, Transformer
from glassmind.model.config import FeedForwardConfig, PositionConfig

PLAIN = ModelConfig(
    vocab_size=97,
    d_model=48,
    n_layers=3,
    max_tokens=128,
    attention=AttentionConfig(n_heads=6, n_kv_heads=2),
)
CONFIGS = {
    "plain": PLAIN,
    "swiglu with biases": replace(PLAIN, feed_forward=FeedForwardConfig("swiglu", 100, bias=True)),
    "geglu": replace(PLAIN, feed_forward=FeedForwardConfig("geglu")),
    "as GPT-2": replace(
        PLAIN,
        norm="layernorm",
        feed_forward=FeedForwardConfig("gelu", bias=True),
        attention=AttentionConfig(n_heads=6, bias=True, output_bias=True),
        positions=PositionConfig("learned"),
    ),
    "relu and alibi": replace(
        PLAIN, feed_forward=FeedForwardConfig("relu"), positions=PositionConfig("alibi")
    ),
    "norm of heads": replace(
        PLAIN, attention=AttentionConfig(n_heads=6, n_kv_heads=3, qk_norm=True)
    ),
    "norm of all heads": replace(
        PLAIN,
        attention=AttentionConfig(n_heads=6, n_kv_heads=3, qk_norm=True, qk_norm_over="all"),
    ),
    "windows": replace(
        PLAIN,
        attention=AttentionConfig(n_heads=6, window=9, global_every=2),
        positions=PositionConfig("rope", local_theta=100.0),
    ),
    "norms around, scaled": replace(
        PLAIN, norm_placement="around", scale_embedding=True, embedding_norm=True
    ),
    "norms after, untied": replace(
        PLAIN, norm_placement="after", tie_embeddings=False, final_norm=False
    ),
    "some without positions": replace(PLAIN, positions=PositionConfig("rope", nope_every=2)),
}


def make(config: ModelConfig) -> Transformer:
    torch.manual_seed(0)
    model = Transformer(config).eval()
    for parameter in model.parameters():
        if parameter.ndim == 1 or not parameter.any():
            nn.init.normal_(parameter, mean=float(parameter.ndim == 1), std=0.3)
    return model


def in_pieces(model: PackedModel, ids_T: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """The logits of all tokens, read piece by piece into scattered blocks."""
    cache = PagedCache(model.config, 8, 1, dtype)
    width = cache.tables_RW.shape[1]
    cache.tables_RW[0] = torch.tensor([5, 1, 7, 2, 0, 3, 4, 6])[:width]
    logits: list[Tensor] = []
    for piece_T in ids_T.tensor_split([at for at in (1, 41, 44, 45, 65) if at < len(ids_T)]):
        first = sum(map(len, logits))
        positions_T = torch.arange(first, first + len(piece_T))
        cache.expect(torch.zeros_like(positions_T), positions_T)
        hidden_1TD = model.hidden(piece_T[None], positions=positions_T, cache=cache)
        logits.append(model.logits(hidden_1TD[0]))
    return torch.cat(logits)
