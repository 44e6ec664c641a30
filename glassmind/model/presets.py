"""Published architectures as rows of values.

A new architecture is a new row here plus, at most, one small module for what no row can say yet.
``glassmind`` is this project's own default; its sizes are set by the recipes.
"""

from __future__ import annotations

from glassmind.model.config import (
    AttentionConfig,
    FeedForwardConfig,
    ModelConfig,
    PositionConfig,
)

PRESETS: dict[str, ModelConfig] = {
    # RoPE, QK-norm and ReLU² each won their place in small-model training speed-runs; biases,
    # dropout and learned norms' offsets did not.
    "glassmind": ModelConfig(),
    # Radford et al. 2019: learned positions, LayerNorm, GELU, biases everywhere.
    "gpt2": ModelConfig(
        vocab_size=50_257,
        max_tokens=1024,
        d_model=768,
        n_layers=12,
        norm="layernorm",
        attention=AttentionConfig(n_heads=12, qk_norm=False, bias=True),
        positions=PositionConfig(kind="learned"),
        feed_forward=FeedForwardConfig(kind="gelu", bias=True),
    ),
    # Grattafiori et al. 2024 (arXiv 2407.21783), the 8B model with its original 8k context.
    "llama3-8b": ModelConfig(
        vocab_size=128_256,
        max_tokens=8192,
        d_model=4096,
        n_layers=32,
        tie_embeddings=False,
        attention=AttentionConfig(n_heads=32, n_kv_heads=8, qk_norm=False),
        positions=PositionConfig(kind="rope", rope_theta=500_000.0),
        feed_forward=FeedForwardConfig(kind="swiglu", d_hidden=14_336),
    ),
}
