"""Llama and the families that differ from it in few values: Mistral, Qwen, SmolLM3, OLMo.

What they share is written once; each family then adds the rules for its own config.json, and the
defaults for missing fields (those of the config classes of transformers 5).
"""

from __future__ import annotations

from glassmind.interop.huggingface.config_rules import (
    Always,
    Field,
    NoRopeLayers,
    Only,
    Rule,
    Windows,
    Words,
    after_the_first,
    except_every,
    without_rope,
)
from glassmind.interop.huggingface.family import Family, fixed
from glassmind.interop.huggingface.rope_rules import Rope, RopeByLayer
from glassmind.interop.huggingface.tensor_names import Table, renamed

UNGATED = {"relu2": "relu2", "gelu_pytorch_tanh": "gelu", "gelu_new": "gelu", "relu": "relu"}
GATED = {"silu": "swiglu", "swish": "swiglu", "gelu_pytorch_tanh": "geglu", "gelu_new": "geglu"}

_WIDTHS: tuple[Rule, ...] = (
    Field("vocab_size", "vocab_size"),
    Field("hidden_size", "d_model"),
    Field("num_hidden_layers", "n_layers"),
    Field("num_attention_heads", "attention.n_heads"),
    Always({"norm": "rmsnorm", "positions.kind": "rope", "attention.qk_norm": False}),
)
SIZES = (*_WIDTHS, Words("hidden_act", "feed_forward.kind", GATED, default="silu"))
PLAIN_ROPE = Rope()
DENSE = Field("intermediate_size", "feed_forward.d_hidden")

ATTENTION_NAMES = {
    "blocks.*.attention.query": "layers.*.self_attn.q_proj",
    "blocks.*.attention.key": "layers.*.self_attn.k_proj",
    "blocks.*.attention.value": "layers.*.self_attn.v_proj",
    "blocks.*.attention.output": "layers.*.self_attn.o_proj",
}
QK_NORM_NAMES = {
    "blocks.*.attention.query_norm": "layers.*.self_attn.q_norm",
    "blocks.*.attention.key_norm": "layers.*.self_attn.k_norm",
}
UNGATED_NAMES = {
    "blocks.*.feed_forward.up": "layers.*.mlp.up_proj",
    "blocks.*.feed_forward.down": "layers.*.mlp.down_proj",
}
FEED_FORWARD_NAMES = UNGATED_NAMES | {
    "blocks.*.feed_forward.gate": "layers.*.mlp.gate_proj",
}
ENDS_NAMES = {"embed": "embed_tokens", "final_norm": "norm", "unembed": "/lm_head"}
NORMS_BEFORE_NAMES = {
    "blocks.*.attention_norm": "layers.*.input_layernorm",
    "blocks.*.feed_forward_norm": "layers.*.post_attention_layernorm",
}
NORMS_AFTER_NAMES = {
    "blocks.*.attention_out_norm": "layers.*.post_attention_layernorm",
    "blocks.*.feed_forward_out_norm": "layers.*.post_feedforward_layernorm",
}
LLAMA_TENSORS = renamed(ENDS_NAMES | NORMS_BEFORE_NAMES | ATTENTION_NAMES | FEED_FORWARD_NAMES)
QWEN3_TENSORS: Table = LLAMA_TENSORS + renamed(QK_NORM_NAMES)
OLMO_TENSORS = renamed(
    ENDS_NAMES | NORMS_AFTER_NAMES | ATTENTION_NAMES | QK_NORM_NAMES | FEED_FORWARD_NAMES
)


def old_tables(*_: object) -> tuple[str, ...]:
    """RoPE's frequencies, which older versions stored among the weights."""
    return (r".*\.rotary_emb\.inv_freq",)


def biases(*ours: str) -> tuple[Rule, ...]:
    """``attention_bias``, one flag for several of our values."""
    return tuple(Field("attention_bias", name, False, "flag") for name in ours)


def shared(
    *,
    max_tokens: int,
    kv_heads: int = 0,
    head_dim: int = 0,
    eps: float = 1e-6,
    tied: bool = False,
    rope: Rule = PLAIN_ROPE,
) -> tuple[Rule, ...]:
    """Fields that all families have, with a family's defaults for missing ones."""
    return (
        Field("max_position_embeddings", "max_tokens", max_tokens),
        Field("num_key_value_heads", "attention.n_kv_heads", kv_heads, null=0),
        Field("head_dim", "attention.head_dim", head_dim, null=0),
        Field("rms_norm_eps", "norm_eps", eps, "number"),
        Field("tie_word_embeddings", "tie_embeddings", tied, "flag"),
        rope,
    )


LLAMA = Family(
    "llama",
    "LlamaForCausalLM",
    (
        *SIZES,
        DENSE,
        *shared(max_tokens=2048),
        *biases("attention.bias", "attention.output_bias"),
        Field("mlp_bias", "feed_forward.bias", False, "flag"),
    ),
    fixed(LLAMA_TENSORS),
    ignored=old_tables,
)

MISTRAL = Family(
    "mistral",
    "MistralForCausalLM",
    (
        *SIZES,
        DENSE,
        *shared(max_tokens=131_072, kv_heads=8),
        Windows(usual=None),
    ),
    fixed(LLAMA_TENSORS),
    ignored=old_tables,
)

QWEN_WINDOWS = Windows(after_the_first("max_window_layers", 28), switch="use_sliding_window")

QWEN2 = Family(
    "qwen2",
    "Qwen2ForCausalLM",
    (
        *SIZES,
        DENSE,
        *shared(max_tokens=32_768, kv_heads=32),
        QWEN_WINDOWS,
        Always({"attention.bias": True}),
    ),
    fixed(LLAMA_TENSORS),
    ignored=old_tables,
)

QWEN3 = Family(
    "qwen3",
    "Qwen3ForCausalLM",
    (
        *SIZES,
        DENSE,
        *shared(max_tokens=32_768, kv_heads=32, head_dim=128),
        *biases("attention.bias", "attention.output_bias"),
        QWEN_WINDOWS,
        Always({"attention.qk_norm": True}),
    ),
    fixed(QWEN3_TENSORS),
)

# The only family whose feed-forward networks have no gate, so this package's default is written as
# this family. Its published models use the activation xIELU, which is refused.
APERTUS = Family(
    "apertus",
    "ApertusForCausalLM",
    (
        *_WIDTHS,
        DENSE,
        Words("hidden_act", "feed_forward.kind", UNGATED, default="xielu"),
        *shared(max_tokens=65_536, eps=1e-5, rope=Rope(12_000_000.0, needed=True)),
        *biases("attention.bias", "attention.output_bias"),
        Always({"attention.qk_norm": True}),
    ),
    fixed(
        renamed(
            ENDS_NAMES
            | {
                "blocks.*.attention_norm": "layers.*.attention_layernorm",
                "blocks.*.feed_forward_norm": "layers.*.feedforward_layernorm",
            }
            | ATTENTION_NAMES
            | QK_NORM_NAMES
            | UNGATED_NAMES
        )
    ),
)

SMOLLM3 = Family(
    "smollm3",
    "SmolLM3ForCausalLM",
    (
        *SIZES,
        DENSE,
        *shared(max_tokens=32_768, kv_heads=4, tied=True, rope=Rope(2_000_000.0)),
        *biases("attention.bias", "attention.output_bias"),
        Field("mlp_bias", "feed_forward.bias", False, "flag"),
        NoRopeLayers(),
        Windows(without_rope, switch="use_sliding_window"),
    ),
    fixed(LLAMA_TENSORS),
)

_OLMO: tuple[Rule, ...] = (
    *biases("attention.bias", "attention.output_bias"),
    Only("clip_qkv"),
    Always(
        {
            "norm_placement": "after",
            "attention.qk_norm": True,
            "attention.qk_norm_over": "all",
        }
    ),
)

OLMO2 = Family(
    "olmo2",
    "Olmo2ForCausalLM",
    (*SIZES, DENSE, *shared(max_tokens=2048, eps=1e-5), *_OLMO),
    fixed(OLMO_TENSORS),
)

OLMO3 = Family(
    "olmo3",
    "Olmo3ForCausalLM",
    (
        *SIZES,
        DENSE,
        *shared(max_tokens=2048, eps=1e-5, rope=RopeByLayer(500_000.0, 500_000.0)),
        Windows(except_every(4)),
        *_OLMO,
    ),
    fixed(OLMO_TENSORS),
)
