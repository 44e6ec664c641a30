"""DeepSeek-V3: latent attention, shared and routed experts, groups, a balancing bias."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from family_parity import SIZES, FamilyParity, Pair, differs, logits, reference, reference_logits

from glassmind.errors import UserError
from glassmind.interop.huggingface import FAMILIES, load_folder
from glassmind.interop.huggingface.json_fields import Fields

DEEPSEEK: dict[str, Any] = {
    **SIZES,
    "num_key_value_heads": 4,
    "kv_lora_rank": 14,
    "q_lora_rank": 18,
    "qk_nope_head_dim": 10,
    "qk_rope_head_dim": 8,
    "v_head_dim": 12,
    "n_routed_experts": 8,
    "num_experts_per_tok": 3,
    "n_shared_experts": 2,
    "moe_intermediate_size": 20,
    "first_k_dense_replace": 1,
    "n_group": 4,
    "topk_group": 2,
    "routed_scaling_factor": 1.7,
    "num_nextn_predict_layers": 0,
    "rope_parameters": {
        "rope_type": "yarn",
        "rope_theta": 1000.0,
        "factor": 4.0,
        "original_max_position_embeddings": 24,
        "mscale": 1.0,
        "mscale_all_dim": 0.7,
    },
}


class TestDeepseekV3(FamilyParity):
    name = "DeepseekV3ForCausalLM"
    config = DEEPSEEK

    def test_our_words_for_it(self, pair: Pair) -> None:
        config = pair.ours.model.config
        assert config.attention.latent.kv_rank == 14
        assert config.experts.score == "sigmoid" and config.experts.n_groups == 4
        assert pair.ours.model.state_dict()["blocks.1.feed_forward.router.balance"].any()


@pytest.mark.parametrize(
    "change",
    [
        {"q_lora_rank": None},
        {"rope_parameters": {"rope_type": "default", "rope_theta": 100.0}, "norm_topk_prob": False},
        {"n_group": 1, "topk_group": 1, "first_k_dense_replace": 0},
    ],
    ids=str,
)
def test_variants(change: dict[str, Any], tmp_path: Path) -> None:
    assert differs("DeepseekV3ForCausalLM", {**DEEPSEEK, **change}, tmp_path) < 1e-4


def test_experts_stored_together(tmp_path: Path) -> None:
    theirs = reference("DeepseekV3ForCausalLM", DEEPSEEK)
    theirs.save_pretrained(tmp_path, save_original_format=False)
    ids = torch.arange(20)[None]
    ours = logits(load_folder(tmp_path).model, ids)
    assert (reference_logits(theirs, ids) - ours).abs().max() < 1e-4


def test_the_balancing_bias_stays_exact_in_half_precision(pair: Pair | None = None) -> None:
    """It is added to scores that are float32 always, and moves by a thousandth."""
    from glassmind.interop.building import build
    from glassmind.model import Transformer

    config = FAMILIES["deepseek_v3"].read(Fields(DEEPSEEK, "config.json"))
    weights = {n: p.detach() for n, p in Transformer(config).named_parameters()}
    size = {"n_tensors": len(weights), "n_numbers": sum(w.numel() for w in weights.values())}
    model = build(config, weights.items(), "it", torch.bfloat16, **size)
    dtypes = {name: p.dtype for name, p in model.named_parameters()}
    assert dtypes["blocks.1.feed_forward.router.balance"] == torch.float32
    assert dtypes["blocks.1.feed_forward.router.weight"] == torch.bfloat16


@pytest.mark.parametrize(
    "change",
    [{"attention_bias": True}, {"rope_interleave": False}, {"rms_norm_eps": 1e-5}],
    ids=str,
)
def test_refused(change: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=next(iter(change))):
        FAMILIES["deepseek_v3"].read(Fields({**DEEPSEEK, **change}, "config.json"))
