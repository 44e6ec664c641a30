"""The architectures of llama.cpp that this package can express.

A GGUF names its architecture (``general.architecture``). For each name, llama.cpp has code for
everything that the file does not say: that a Llama normalises before each branch, that a Gemma
scales its embeddings. Here this is ``base``: values of ``ModelConfig`` by dotted name. ``fields``
says which of the file's facts (entries of its metadata) has which value. The formats of facts are
in llama.cpp's gguf-py/gguf/constants.py, their use by each architecture in src/models/.

RoPE rotates pairs of numbers. This package, like Hugging Face's transformers, pairs the first half
of a head with the second; llama.cpp pairs neighbours in some architectures (``neighbours``), and
their files have the rows of the query and key matrices in another order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

_SIZES = {
    "context_length": "max_tokens",
    "embedding_length": "d_model",
    "block_count": "n_layers",
    "feed_forward_length": "feed_forward.d_hidden",
    "attention.head_count": "attention.n_heads",
}
_RMS = {"attention.layer_norm_rms_epsilon": "norm_eps"}
_LAYER_NORM = {"attention.layer_norm_epsilon": "norm_eps"}
REQUIRED = frozenset((*_SIZES, *_RMS, *_LAYER_NORM))
"""Facts that must be in a file if its architecture has them; all others have a default."""

_GROUPED = {"attention.head_count_kv": "attention.n_kv_heads"}
_HEADS = {"attention.key_length": "attention.head_dim"}
_ROPE = {"rope.freq_base": "positions.rope_theta"}
_LOCAL_ROPE = {"rope.freq_base_swa": "positions.local_theta"}
_WINDOW = {"attention.sliding_window": "attention.window"}
_EXPERTS = {
    "expert_count": "experts.n_experts",
    "expert_used_count": "experts.n_active",
    "expert_weights_scale": "experts.scale",
}
_EXPERT_WIDTH = {"expert_feed_forward_length": "experts.d_hidden"}
_MORE_ABOUT_EXPERTS = {
    "expert_shared_count": "experts.n_shared",
    "expert_weights_norm": "experts.normalise",
    "leading_dense_block_count": "experts.n_dense_layers",
    "expert_group_count": "experts.n_groups",
    "expert_group_used_count": "experts.n_active_groups",
}
_LATENT = {
    "attention.q_lora_rank": "attention.latent.q_rank",
    "attention.kv_lora_rank": "attention.latent.kv_rank",
    "attention.value_length_mla": "attention.latent.value_dim",
    "rope.dimension_count": "attention.latent.rope_dim",
}


@dataclass(frozen=True)
class Architecture:
    """One architecture. ``scalings`` are the kinds of stretched RoPE that it supports.

    ``fused``: query, key and value are one matrix. ``one_width``: experts have the width of the
    dense network. ``own_output``: the file needs an output matrix even if it equals the embedding.
    ``constants`` are facts, by their full names, of which only one value can be expressed here.
    """

    base: Mapping[str, object]
    fields: Mapping[str, str]
    neighbours: bool = False
    fused: bool = False
    scalings: tuple[str, ...] = ("none", "linear", "yarn")
    one_width: bool = False
    own_output: bool = False
    constants: Mapping[str, float] = field(default_factory=dict)


_MODERN: Mapping[str, object] = {"attention.qk_norm": False, "feed_forward.kind": "swiglu"}
_CLASSIC: Mapping[str, object] = {
    "norm": "layernorm",
    "attention.qk_norm": False,
    "attention.bias": True,
    "attention.output_bias": True,
    "feed_forward.kind": "gelu",
    "feed_forward.bias": True,
}
# Apertus bends with xIELU (Huang & Schlag 2024, 2411.13010): a x^2 + b x above 0, and below it
# c (exp(x) - 1 - x) + b x. With a = 1 and b = c = 0 that is ReLU squared. Except for b, softplus,
# log(1 + exp(y)), is applied to the numbers in a file.
_XIELU = {
    "xielu.alpha_p": 0.54132485,
    "xielu.alpha_n": -100.0,
    "xielu.beta": 0.0,
    "xielu.eps": -1e-06,
}
_NORMED: Mapping[str, object] = {**_MODERN, "attention.qk_norm": True}
_UNBALANCED: Mapping[str, object] = {"experts.balance": False}
_PLAIN = {**_SIZES, **_RMS, **_GROUPED, **_ROPE}

ARCHITECTURES: dict[str, Architecture] = {
    "gpt2": Architecture(
        {**_CLASSIC, "positions.kind": "learned"}, {**_SIZES, **_LAYER_NORM}, fused=True
    ),
    "bloom": Architecture(
        {**_CLASSIC, "positions.kind": "alibi", "embedding_norm": True},
        {**_SIZES, **_LAYER_NORM},
        fused=True,
    ),
    # Llama 1 to 3, Mistral, Mixtral, SmolLM2.
    "llama": Architecture(
        {**_MODERN, **_UNBALANCED},
        {**_PLAIN, **_HEADS, **_EXPERTS},
        neighbours=True,
        scalings=("none", "linear", "yarn", "llama3"),
        one_width=True,
    ),
    "qwen2": Architecture({**_MODERN, "attention.bias": True}, _PLAIN),
    "qwen3": Architecture(_NORMED, {**_PLAIN, **_HEADS}),
    "qwen3moe": Architecture(
        {**_NORMED, **_UNBALANCED}, {**_PLAIN, **_HEADS, **_EXPERTS, **_EXPERT_WIDTH}
    ),
    # Also this package's own default.
    "apertus": Architecture(
        {**_NORMED, "feed_forward.kind": "relu2"},
        {**_PLAIN, **_HEADS},
        scalings=("none", "linear", "yarn", "llama3"),
        own_output=True,
        constants=_XIELU,
    ),
    "gemma3": Architecture(
        {
            **_NORMED,
            "feed_forward.kind": "geglu",
            "norm_placement": "around",
            "scale_embedding": True,
            "attention.global_every": 6,
            "positions.local_theta": 10_000.0,
        },
        {**_PLAIN, **_HEADS, **_LOCAL_ROPE, **_WINDOW},
        scalings=("none", "linear"),
    ),
    # OLMo 2 and 3.
    "olmo2": Architecture(
        {
            **_NORMED,
            "norm_placement": "after",
            "attention.qk_norm_over": "all",
            "attention.global_every": 4,
        },
        {**_PLAIN, **_WINDOW},
        own_output=True,
    ),
    "smollm3": Architecture(
        {**_MODERN, "positions.nope_every": 4}, {**_PLAIN, **_HEADS}, neighbours=True
    ),
    # DeepSeek-V2 and V3.
    "deepseek2": Architecture(
        {**_MODERN, "experts.normalise": False},
        {
            **{**_SIZES, **_RMS, **_ROPE, **_LATENT},
            **{**_EXPERTS, **_EXPERT_WIDTH, **_MORE_ABOUT_EXPERTS},
        },
        neighbours=True,
    ),
}
