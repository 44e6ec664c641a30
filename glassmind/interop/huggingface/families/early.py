"""The models with LayerNorm: the original Transformer's decoder, GPT-2, BLOOM."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from glassmind.interop.huggingface.config_rules import Always, Field, Only, Rule, Words
from glassmind.interop.huggingface.family import Family, fixed
from glassmind.interop.huggingface.tensor_names import Table, Tensors, renamed
from glassmind.interop.huggingface.transforms import ByHead, Columns, Transposed
from glassmind.model import ModelConfig
from glassmind.model.positions import sinusoidal_table

_UNGATED = {"gelu_new": "gelu", "gelu_pytorch_tanh": "gelu", "gelu_fast": "gelu", "relu": "relu"}
_BIASED: dict[str, object] = {
    "norm": "layernorm",
    "attention.qk_norm": False,
    "attention.bias": True,
    "attention.output_bias": True,
    "feed_forward.bias": True,
}
_QUERY_KEY_VALUE = (
    "blocks.*.attention.query.",
    "blocks.*.attention.key.",
    "blocks.*.attention.value.",
)

# ---- The original Transformer: Marian's decoder, used without an encoder. ----


def _encoder_parts(config: ModelConfig) -> tuple[str, ...]:
    """The cross-attention, which is skipped without an encoder, and the table of sines."""
    return (
        r"model\.decoder\.layers\.\d+\.encoder_attn(_layer_norm|\.[kqv]_proj|\.out_proj)\..*",
        r"model\.decoder\.embed_positions\.weight",
    )


def _without_encoder(config: ModelConfig) -> Mapping[str, Tensor]:
    """The same parts for a model without an encoder: zeros, which add nothing."""
    table = sinusoidal_table(config.max_tokens, config.d_model)
    parts = {"model.decoder.embed_positions.weight": table}
    vector = torch.zeros(1).expand(config.d_model)  # one number, however often it is read
    matrix = vector.expand(config.d_model, config.d_model)
    for layer in range(config.n_layers):
        name = f"model.decoder.layers.{layer}.encoder_attn"
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            parts |= {f"{name}.{part}.weight": matrix, f"{name}.{part}.bias": vector}
        parts |= {f"{name}_layer_norm.weight": vector, f"{name}_layer_norm.bias": vector}
    return parts


_MARIAN_RULES: tuple[Rule, ...] = (
    Field("vocab_size", "vocab_size"),  # an embedding of another shape is refused later
    Field("d_model", "d_model"),
    Field("decoder_layers", "n_layers"),
    Field("decoder_attention_heads", "attention.n_heads"),
    Field("decoder_ffn_dim", "feed_forward.d_hidden"),
    Field("max_position_embeddings", "max_tokens", 1024),
    Field("scale_embedding", "scale_embedding", False, "flag"),
    Field("tie_word_embeddings", "tie_embeddings", True, "flag"),
    Words("activation_function", "feed_forward.kind", _UNGATED),
    Only("is_encoder_decoder", (False,)),
    Only("normalize_before"),
    Only("normalize_embedding"),
    Only("add_final_layer_norm"),
    Always(
        {
            **_BIASED,
            "norm_eps": 1e-5,
            "norm_placement": "residual",
            "final_norm": False,
            "positions.kind": "sinusoidal",
        },
        says={"is_decoder": True, "is_encoder_decoder": False},
    ),
)

_MARIAN_TENSORS = renamed(
    {
        "embed": "embed_tokens",
        "unembed": "/lm_head",
        "blocks.*.attention.query": "layers.*.self_attn.q_proj",
        "blocks.*.attention.key": "layers.*.self_attn.k_proj",
        "blocks.*.attention.value": "layers.*.self_attn.v_proj",
        "blocks.*.attention.output": "layers.*.self_attn.out_proj",
        "blocks.*.attention_sum_norm": "layers.*.self_attn_layer_norm",
        "blocks.*.feed_forward.up": "layers.*.fc1",
        "blocks.*.feed_forward.down": "layers.*.fc2",
        "blocks.*.feed_forward_sum_norm": "layers.*.final_layer_norm",
    }
)

MARIAN = Family(
    "marian",
    "MarianForCausalLM",
    _MARIAN_RULES,
    fixed(_MARIAN_TENSORS),
    prefixes=("model.decoder.",),
    ignored=_encoder_parts,
    more=_without_encoder,
)

# ---- GPT-2 ----


def _causal_masks(config: ModelConfig) -> tuple[str, ...]:
    """The causal masks, which older versions stored among the weights."""
    return (r"(transformer\.)?h\.\d+\.attn\.(bias|masked_bias)",)


_GPT2_TENSORS: Table = (
    *renamed(
        {
            "embed": "wte",
            "blocks.*.attention_norm": "h.*.ln_1",
            "blocks.*.feed_forward_norm": "h.*.ln_2",
            "final_norm": "ln_f",
            "unembed": "/lm_head",
        }
    ),
    Tensors(("absolute_positions.table",), ("wpe.weight",)),
    Tensors(_QUERY_KEY_VALUE, ("h.*.attn.c_attn.",), Columns()),
    *renamed(
        {
            "blocks.*.attention.output": "h.*.attn.c_proj",
            "blocks.*.feed_forward.up": "h.*.mlp.c_fc",
            "blocks.*.feed_forward.down": "h.*.mlp.c_proj",
        },
        Transposed(),
    ),
)

GPT2 = Family(
    "gpt2",
    "GPT2LMHeadModel",
    (
        Field("vocab_size", "vocab_size", 50_257),
        Field("n_positions", "max_tokens", 1024, aliases=("max_position_embeddings",)),
        Field("n_embd", "d_model", 768, aliases=("hidden_size",)),
        Field("n_layer", "n_layers", 12, aliases=("num_hidden_layers",)),
        Field("n_head", "attention.n_heads", 12, aliases=("num_attention_heads",)),
        Field("n_inner", "feed_forward.d_hidden", 0, null=0),
        Field("layer_norm_epsilon", "norm_eps", 1e-5, "number"),
        Field("tie_word_embeddings", "tie_embeddings", True, "flag"),
        Words("activation_function", "feed_forward.kind", _UNGATED, default="gelu_new"),
        Only("scale_attn_weights", (True,)),
        Only("scale_attn_by_inverse_layer_idx"),
        Only("add_cross_attention"),
        Always({**_BIASED, "positions.kind": "learned"}),
    ),
    fixed(_GPT2_TENSORS),
    prefixes=("transformer.", ""),
    ignored=_causal_masks,
)

# ---- BLOOM ----

_BLOOM_TENSORS: Table = (
    *renamed(
        {
            "embed": "word_embeddings",
            "embedding_norm": "word_embeddings_layernorm",
            "blocks.*.attention_norm": "h.*.input_layernorm",
            "blocks.*.attention.output": "h.*.self_attention.dense",
            "blocks.*.feed_forward_norm": "h.*.post_attention_layernorm",
            "blocks.*.feed_forward.up": "h.*.mlp.dense_h_to_4h",
            "blocks.*.feed_forward.down": "h.*.mlp.dense_4h_to_h",
            "final_norm": "ln_f",
            "unembed": "/lm_head",
        }
    ),
    Tensors(_QUERY_KEY_VALUE, ("h.*.self_attention.query_key_value.",), ByHead()),
)

BLOOM = Family(
    "bloom",
    "BloomForCausalLM",
    (
        Field("vocab_size", "vocab_size", 250_880),
        Field("seq_length", "max_tokens", 2048),  # ALiBi has no limit of its own
        Field("hidden_size", "d_model", 64, aliases=("n_embed",)),
        Field("n_layer", "n_layers", 2, aliases=("num_hidden_layers",)),
        Field("n_head", "attention.n_heads", 8, aliases=("num_attention_heads",)),
        Field("layer_norm_epsilon", "norm_eps", 1e-5, "number"),
        Field("tie_word_embeddings", "tie_embeddings", True, "flag"),
        Only("apply_residual_connection_post_layernorm"),
        Always(
            {
                **_BIASED,
                "embedding_norm": True,
                "feed_forward.kind": "gelu",
                "positions.kind": "alibi",
            }
        ),
    ),
    fixed(_BLOOM_TENSORS),
    prefixes=("transformer.", ""),
)
