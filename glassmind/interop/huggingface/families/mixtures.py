"""Mixtures of experts: Mixtral, Qwen3-MoE, DeepSeek-V3.

Files on the hub have separate matrices for every expert; transformers 5 can also write the matrices
of all experts as one tensor. Both are read; separate matrices are written.
"""

from __future__ import annotations

from glassmind.interop.huggingface.config_rules import (
    Always,
    DenseLayers,
    Field,
    Only,
    Rule,
    Windows,
    Words,
)
from glassmind.interop.huggingface.families.llama import (
    ATTENTION_NAMES,
    DENSE,
    ENDS_NAMES,
    FEED_FORWARD_NAMES,
    GATED,
    NORMS_BEFORE_NAMES,
    QK_NORM_NAMES,
    SIZES,
    biases,
    old_tables,
    shared,
)
from glassmind.interop.huggingface.family import Family, fixed
from glassmind.interop.huggingface.rope_rules import Rope
from glassmind.interop.huggingface.tensor_names import Table, Tensors, renamed
from glassmind.interop.huggingface.transforms import GateAndUp, KeyAndValue, Stacked, Unpaired
from glassmind.model import ModelConfig

_UP, _GATE, _DOWN = (f"blocks.*.feed_forward.{part}" for part in ("up", "gate", "down"))


def _experts(block: str, up: str, gate: str, down: str) -> Table:
    """The router and the experts, as separate tensors, in the part ``block`` of a layer."""
    names = {_UP: up, _GATE: gate, _DOWN: down}
    return (
        *renamed({"blocks.*.feed_forward.router": f"layers.*.{block}.gate"}),
        *(
            Tensors((ours,), (f"layers.*.{block}.experts.#.{theirs}.weight",), Stacked())
            for ours, theirs in names.items()
        ),
    )


_EXPERTS_TOGETHER: Table = (
    *renamed({"blocks.*.feed_forward.router": "layers.*.mlp.gate"}),
    Tensors((_GATE, _UP), ("layers.*.mlp.experts.gate_up_proj",), GateAndUp()),
    Tensors((_DOWN,), ("layers.*.mlp.experts.down_proj",)),
)
_QWEN_EXPERTS = _experts("mlp", "up_proj", "gate_proj", "down_proj")
_SOFTMAX = {"experts.score": "softmax", "experts.balance": False}

# ---- Mixtral ----

_MIXTRAL_REST = renamed(ENDS_NAMES | NORMS_BEFORE_NAMES | ATTENTION_NAMES)

MIXTRAL = Family(
    "mixtral",
    "MixtralForCausalLM",
    (
        *SIZES,
        *shared(max_tokens=131_072, kv_heads=8, eps=1e-5, rope=Rope(1_000_000.0)),
        Windows(usual=None, default=None),
        Field("num_local_experts", "experts.n_experts", 8, aliases=("num_experts",)),
        Field("num_experts_per_tok", "experts.n_active", 2),
        Field("intermediate_size", "experts.d_hidden"),
        Always(_SOFTMAX),
    ),
    fixed(
        _MIXTRAL_REST + _experts("block_sparse_moe", "w3", "w1", "w2"),
        _MIXTRAL_REST + _EXPERTS_TOGETHER,
    ),
    ignored=old_tables,
)

# ---- Qwen3-MoE ----

_QWEN3_REST = renamed(
    ENDS_NAMES | NORMS_BEFORE_NAMES | ATTENTION_NAMES | QK_NORM_NAMES | FEED_FORWARD_NAMES
)

QWEN3_MOE = Family(
    "qwen3_moe",
    "Qwen3MoeForCausalLM",
    (
        *SIZES,
        DENSE,
        *shared(max_tokens=32_768, kv_heads=4),
        *biases("attention.bias", "attention.output_bias"),
        Windows(usual=None, switch="use_sliding_window"),
        Field("num_experts", "experts.n_experts", 128, aliases=("num_local_experts",)),
        Field("num_experts_per_tok", "experts.n_active", 8),
        Field("moe_intermediate_size", "experts.d_hidden", 768),
        Field("norm_topk_prob", "experts.normalise", False, "flag"),
        DenseLayers("mlp_only_layers"),
        Only("decoder_sparse_step", (1,)),
        Always({**_SOFTMAX, "attention.qk_norm": True}),
    ),
    fixed(_QWEN3_REST + _QWEN_EXPERTS, _QWEN3_REST + _EXPERTS_TOGETHER),
)

# ---- DeepSeek-V3 ----


def _prediction_layer(config: ModelConfig) -> tuple[str, ...]:
    """The extra layer after the last, which predicts the token after the next."""
    return (rf"model\.layers\.{config.n_layers}\..*",)


_DEEPSEEK_RULES: tuple[Rule, ...] = (
    Field("vocab_size", "vocab_size"),
    Field("hidden_size", "d_model"),
    Field("num_hidden_layers", "n_layers"),
    Field("num_attention_heads", "attention.n_heads"),
    Field("num_key_value_heads", "attention.n_kv_heads", 0, null=0),
    Field("intermediate_size", "feed_forward.d_hidden"),
    Field("max_position_embeddings", "max_tokens", 4096),
    # In transformers the norms of the latents have this epsilon, whatever rms_norm_eps says.
    Only("rms_norm_eps", (1e-6,)),
    Field("tie_word_embeddings", "tie_embeddings", False, "flag"),
    Words("hidden_act", "feed_forward.kind", GATED, default="silu"),
    Rope(),
    Field("kv_lora_rank", "attention.latent.kv_rank", 512),
    Field("q_lora_rank", "attention.latent.q_rank", 1536, null=0),
    Field("qk_nope_head_dim", "attention.latent.content_dim", 128),
    Field("qk_rope_head_dim", "attention.latent.rope_dim", 64),
    Field("v_head_dim", "attention.latent.value_dim", 128),
    Field("n_routed_experts", "experts.n_experts", 256, aliases=("num_local_experts",)),
    Field("num_experts_per_tok", "experts.n_active", 8),
    Field("n_shared_experts", "experts.n_shared", 1),
    Field("moe_intermediate_size", "experts.d_hidden", 2048),
    Field("first_k_dense_replace", "experts.n_dense_layers", 3),
    Field("routed_scaling_factor", "experts.scale", 2.5, "number"),
    Field("norm_topk_prob", "experts.normalise", True, "flag"),
    Field("n_group", "experts.n_groups", 8),
    Field("topk_group", "experts.n_active_groups", 4),
    Only("attention_bias"),
    Only("rope_interleave", (True,)),
    Only("scoring_func", ("sigmoid",)),
    Only("topk_method", ("noaux_tc",)),
    Only("moe_layer_freq", (1,)),
    Always(
        {
            "norm": "rmsnorm",
            "norm_eps": 1e-6,
            "positions.kind": "rope",
            "attention.qk_norm": False,
            "experts.score": "sigmoid",
            "experts.balance": True,
        },
        says={"num_nextn_predict_layers": 0},
    ),
)

_LATENT: Table = (
    *renamed(
        {
            "blocks.*.attention.query_down": "layers.*.self_attn.q_a_proj",
            "blocks.*.attention.query_norm": "layers.*.self_attn.q_a_layernorm",
            "blocks.*.attention.latent_norm": "layers.*.self_attn.kv_a_layernorm",
            "blocks.*.attention.output": "layers.*.self_attn.o_proj",
        }
    ),
    *renamed(
        {"blocks.*.attention.latent_down": "layers.*.self_attn.kv_a_proj_with_mqa"},
        Unpaired(False),
    ),
    Tensors(
        ("blocks.*.attention.key.", "blocks.*.attention.value."),
        ("layers.*.self_attn.kv_b_proj.",),
        KeyAndValue(),
    ),
)
_DEEPSEEK_REST = (
    *renamed(ENDS_NAMES | NORMS_BEFORE_NAMES | FEED_FORWARD_NAMES),
    *_LATENT,
    Tensors(
        ("blocks.*.feed_forward.router.balance",), ("layers.*.mlp.gate.e_score_correction_bias",)
    ),
    *renamed(
        {
            "blocks.*.feed_forward.shared.up": "layers.*.mlp.shared_experts.up_proj",
            "blocks.*.feed_forward.shared.gate": "layers.*.mlp.shared_experts.gate_proj",
            "blocks.*.feed_forward.shared.down": "layers.*.mlp.shared_experts.down_proj",
        }
    ),
)


def _deepseek_layouts(config: ModelConfig) -> tuple[Table, ...]:
    """The query matrix has another name if queries are not compressed."""
    name = "q_b_proj" if config.attention.latent.q_rank else "q_proj"
    query = renamed({"blocks.*.attention.query": f"layers.*.self_attn.{name}"}, Unpaired(True))
    rest = _DEEPSEEK_REST + query
    return rest + _QWEN_EXPERTS, rest + _EXPERTS_TOGETHER


DEEPSEEK_V3 = Family(
    "deepseek_v3",
    "DeepseekV3ForCausalLM",
    _DEEPSEEK_RULES,
    _deepseek_layouts,
    ignored=_prediction_layer,
)
