"""Gemma 3: local and global layers, norms on both sides of each branch, scaled embeddings."""

from __future__ import annotations

from glassmind.interop.huggingface.config_rules import (
    Always,
    Field,
    InverseSquare,
    Only,
    Rule,
    Windows,
    Words,
    except_every,
)
from glassmind.interop.huggingface.families.llama import (
    ATTENTION_NAMES,
    ENDS_NAMES,
    FEED_FORWARD_NAMES,
    GATED,
    QK_NORM_NAMES,
    biases,
)
from glassmind.interop.huggingface.family import Family, fixed
from glassmind.interop.huggingface.rope_rules import RopeByLayer
from glassmind.interop.huggingface.tensor_names import renamed
from glassmind.interop.huggingface.transforms import PlusOne
from glassmind.model import ModelConfig

_RULES: tuple[Rule, ...] = (
    Field("vocab_size", "vocab_size", 262_208),
    Field("hidden_size", "d_model", 2304),
    Field("num_hidden_layers", "n_layers", 26),
    Field("num_attention_heads", "attention.n_heads", 8),
    Field("num_key_value_heads", "attention.n_kv_heads", 4),
    Field("head_dim", "attention.head_dim", 256),
    Field("intermediate_size", "feed_forward.d_hidden", 9216),
    Field("max_position_embeddings", "max_tokens", 131_072),
    Field("rms_norm_eps", "norm_eps", 1e-6, "number"),
    Field("tie_word_embeddings", "tie_embeddings", True, "flag"),
    Words("hidden_activation", "feed_forward.kind", GATED, default="gelu_pytorch_tanh"),
    InverseSquare("query_pre_attn_scalar", "attention.scale", 256),
    *biases("attention.bias", "attention.output_bias"),
    RopeByLayer(1_000_000.0, 10_000.0, local_name="rope_local_base_freq"),
    Windows(except_every(6, "sliding_window_pattern")),
    Only("attn_logit_softcapping"),
    Only("final_logit_softcapping"),
    Only("use_bidirectional_attention"),
    Always(
        {
            "norm": "rmsnorm",
            "norm_placement": "around",
            "scale_embedding": True,
            "attention.qk_norm": True,
            "positions.kind": "rope",
        }
    ),
)

_NORMS = {
    "blocks.*.attention_norm": "layers.*.input_layernorm",
    "blocks.*.attention_out_norm": "layers.*.post_attention_layernorm",
    "blocks.*.feed_forward_norm": "layers.*.pre_feedforward_layernorm",
    "blocks.*.feed_forward_out_norm": "layers.*.post_feedforward_layernorm",
    "final_norm": "norm",
}
_MATRICES = {name: ENDS_NAMES[name] for name in ("embed", "unembed")}
_TENSORS = renamed(_MATRICES | ATTENTION_NAMES | FEED_FORWARD_NAMES) + renamed(
    _NORMS | QK_NORM_NAMES, PlusOne()
)


def _eyes(config: ModelConfig) -> tuple[str, ...]:
    """The parts of a multimodal model besides its language model."""
    return (r"(model\.)?(vision_tower|multi_modal_projector)\..*",)


GEMMA3 = Family("gemma3_text", "Gemma3ForCausalLM", _RULES, fixed(_TENSORS))

# The multimodal models, of which only the language model is read.
GEMMA3_SEEING = Family(
    "gemma3",
    "Gemma3ForConditionalGeneration",
    _RULES,
    fixed(_TENSORS),
    prefixes=("model.language_model.", "language_model.model."),
    inside="text_config",
    ignored=_eyes,
)
