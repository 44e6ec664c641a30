"""Published architectures as configs, in the order in which they appeared.

A new architecture is a new entry here plus, at most, one small module for what ``ModelConfig``
cannot express yet. An entry that differs from another in a few values is derived from it.
``glassmind`` is this project's own default; its sizes are set by the recipes.
"""

from __future__ import annotations

from dataclasses import replace

from glassmind.model.config import (
    AttentionConfig,
    ExpertsConfig,
    FeedForwardConfig,
    LatentConfig,
    ModelConfig,
    PositionConfig,
    RopeScaling,
)

# Vaswani et al. 2017 (arXiv 1706.03762), the base model's decoder without cross-attention.
_TRANSFORMER = ModelConfig(
    vocab_size=37_000,
    max_tokens=512,
    d_model=512,
    n_layers=6,
    norm="layernorm",
    norm_placement="residual",
    final_norm=False,
    scale_embedding=True,
    attention=AttentionConfig(n_heads=8, qk_norm=False, bias=True, output_bias=True),
    positions=PositionConfig("sinusoidal"),
    feed_forward=FeedForwardConfig("relu", d_hidden=2048, bias=True),
)

# Radford et al. 2019, the smallest of four.
_GPT2 = ModelConfig(
    vocab_size=50_257,
    max_tokens=1024,
    d_model=768,
    n_layers=12,
    norm="layernorm",
    attention=AttentionConfig(n_heads=12, qk_norm=False, bias=True, output_bias=True),
    positions=PositionConfig("learned"),
    feed_forward=FeedForwardConfig("gelu", d_hidden=3072, bias=True),
)

# Le Scao et al. 2022 (2211.05100), 560M.
_BLOOM = ModelConfig(
    vocab_size=250_880,
    max_tokens=2048,
    d_model=1024,
    n_layers=24,
    norm="layernorm",
    embedding_norm=True,
    attention=AttentionConfig(n_heads=16, qk_norm=False, bias=True, output_bias=True),
    positions=PositionConfig("alibi"),
    feed_forward=FeedForwardConfig("gelu", d_hidden=4096, bias=True),
)

# Touvron et al. 2023 (2307.09288), 7B.
_LLAMA2 = ModelConfig(
    vocab_size=32_000,
    max_tokens=4096,
    d_model=4096,
    n_layers=32,
    tie_embeddings=False,
    attention=AttentionConfig(n_heads=32, qk_norm=False),
    positions=PositionConfig("rope"),
    feed_forward=FeedForwardConfig("swiglu", d_hidden=11_008),
)

# Grattafiori et al. 2024 (2407.21783), 8B with its original context.
_LLAMA3 = replace(
    _LLAMA2,
    vocab_size=128_256,
    max_tokens=8192,
    attention=AttentionConfig(n_heads=32, n_kv_heads=8, qk_norm=False),
    positions=PositionConfig("rope", rope_theta=500_000.0),
    feed_forward=FeedForwardConfig("swiglu", d_hidden=14_336),
)

# The same paper, after its long-context stage.
_LLAMA31 = replace(
    _LLAMA3,
    max_tokens=131_072,
    positions=PositionConfig(
        "rope",
        rope_theta=500_000.0,
        scaling=RopeScaling("llama3", factor=8.0, original_tokens=8192),
    ),
)

# Jiang et al. 2023 (2310.06825), 7B.
_MISTRAL = replace(
    _LLAMA2,
    max_tokens=32_768,
    attention=AttentionConfig(n_heads=32, n_kv_heads=8, qk_norm=False, window=4096),
    feed_forward=FeedForwardConfig("swiglu", d_hidden=14_336),
)

# Jiang et al. 2024 (2401.04088), 8x7B.
_MIXTRAL = replace(
    _MISTRAL,
    attention=AttentionConfig(n_heads=32, n_kv_heads=8, qk_norm=False),
    positions=PositionConfig("rope", rope_theta=1_000_000.0),
    experts=ExpertsConfig(n_experts=8, n_active=2, d_hidden=14_336, balance=False),
)

# Qwen team 2024 (2412.15115), 0.5B.
_QWEN25 = ModelConfig(
    vocab_size=151_936,
    max_tokens=32_768,
    d_model=896,
    n_layers=24,
    norm_eps=1e-6,
    attention=AttentionConfig(n_heads=14, n_kv_heads=2, qk_norm=False, bias=True),
    positions=PositionConfig("rope", rope_theta=1_000_000.0),
    feed_forward=FeedForwardConfig("swiglu", d_hidden=4864),
)

# Yang et al. 2025 (2505.09388), 0.6B.
_QWEN3 = replace(
    _QWEN25,
    max_tokens=40_960,
    d_model=1024,
    n_layers=28,
    attention=AttentionConfig(n_heads=16, n_kv_heads=8, head_dim=128),
    feed_forward=FeedForwardConfig("swiglu", d_hidden=3072),
)

# The same report, 30B of which 3B are active.
_QWEN3_MOE = replace(
    _QWEN3,
    d_model=2048,
    n_layers=48,
    tie_embeddings=False,
    attention=AttentionConfig(n_heads=32, n_kv_heads=4, head_dim=128),
    feed_forward=FeedForwardConfig("swiglu", d_hidden=6144),
    experts=ExpertsConfig(n_experts=128, n_active=8, d_hidden=768, balance=False),
)

# Gemma team 2025 (2503.19786), 270M.
_GEMMA3 = ModelConfig(
    vocab_size=262_144,
    max_tokens=32_768,
    d_model=640,
    n_layers=18,
    norm_eps=1e-6,
    norm_placement="around",
    scale_embedding=True,
    attention=AttentionConfig(n_heads=4, n_kv_heads=1, head_dim=256, window=512, global_every=6),
    positions=PositionConfig("rope", rope_theta=1_000_000.0, local_theta=10_000.0),
    feed_forward=FeedForwardConfig("geglu", d_hidden=2048),
)

# OLMo team 2025 (2501.00656), 1B.
_OLMO2 = ModelConfig(
    vocab_size=100_352,
    max_tokens=4096,
    d_model=2048,
    n_layers=16,
    norm_eps=1e-6,
    norm_placement="after",
    tie_embeddings=False,
    attention=AttentionConfig(n_heads=16, qk_norm_over="all"),
    positions=PositionConfig("rope", rope_theta=500_000.0),
    feed_forward=FeedForwardConfig("swiglu", d_hidden=8192),
)

# OLMo team 2025, 7B after its long-context stage.
_OLMO3 = replace(
    _OLMO2,
    vocab_size=100_278,
    max_tokens=65_536,
    d_model=4096,
    n_layers=32,
    attention=AttentionConfig(n_heads=32, qk_norm_over="all", window=4096, global_every=4),
    positions=PositionConfig(
        "rope",
        rope_theta=500_000.0,
        scaling=RopeScaling("yarn", factor=8.0, original_tokens=8192),
    ),
    feed_forward=FeedForwardConfig("swiglu", d_hidden=11_008),
)

# Ben Allal et al. 2025 (2502.02737), 135M.
_SMOLLM2 = ModelConfig(
    vocab_size=49_152,
    max_tokens=8192,
    d_model=576,
    n_layers=30,
    attention=AttentionConfig(n_heads=9, n_kv_heads=3, qk_norm=False),
    positions=PositionConfig("rope", rope_theta=100_000.0),
    feed_forward=FeedForwardConfig("swiglu", d_hidden=1536),
)

# Bakouch et al. 2025, 3B.
_SMOLLM3 = replace(
    _SMOLLM2,
    vocab_size=128_256,
    max_tokens=65_536,
    d_model=2048,
    n_layers=36,
    norm_eps=1e-6,
    attention=AttentionConfig(n_heads=16, n_kv_heads=4, qk_norm=False),
    positions=PositionConfig("rope", rope_theta=5_000_000.0, nope_every=4),
    feed_forward=FeedForwardConfig("swiglu", d_hidden=11_008),
)

# DeepSeek-AI 2024 (2412.19437), 671B of which 37B are active; without its extra prediction layer.
_DEEPSEEK_V3 = ModelConfig(
    vocab_size=129_280,
    max_tokens=163_840,
    d_model=7168,
    n_layers=61,
    norm_eps=1e-6,
    tie_embeddings=False,
    attention=AttentionConfig(
        n_heads=128,
        qk_norm=False,
        latent=LatentConfig(kv_rank=512, q_rank=1536, content_dim=128, rope_dim=64, value_dim=128),
    ),
    positions=PositionConfig(
        "rope",
        scaling=RopeScaling(
            "yarn", factor=40.0, original_tokens=4096, sharpness=1.0, sharpness_all=1.0
        ),
    ),
    feed_forward=FeedForwardConfig("swiglu", d_hidden=18_432),
    experts=ExpertsConfig(
        n_experts=256,
        n_active=8,
        n_shared=1,
        d_hidden=2048,
        n_dense_layers=3,
        score="sigmoid",
        scale=2.5,
        n_groups=8,
        n_active_groups=4,
    ),
)

PRESETS: dict[str, ModelConfig] = {
    "transformer": _TRANSFORMER,
    "gpt2": _GPT2,
    "bloom": _BLOOM,
    "llama2": _LLAMA2,
    "mistral": _MISTRAL,
    "mixtral": _MIXTRAL,
    "llama3": _LLAMA3,
    "llama3.1": _LLAMA31,
    "qwen2.5": _QWEN25,
    "deepseek-v3": _DEEPSEEK_V3,
    "olmo2": _OLMO2,
    "smollm2": _SMOLLM2,
    "gemma3": _GEMMA3,
    "qwen3": _QWEN3,
    "qwen3-moe": _QWEN3_MOE,
    "smollm3": _SMOLLM3,
    "olmo3": _OLMO3,
    # In speed-runs of training small models RoPE, QK-norm and ReLU² each helped; biases, dropout
    # and learned offsets of norms did not.
    "glassmind": ModelConfig(),
}
