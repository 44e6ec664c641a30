"""Gemma 3: local and global layers with a RoPE each, four norms a block, scaled embeddings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from family_parity import SIZES, FamilyParity, Pair, differs, logits, reference, reference_logits

from glassmind.errors import UserError
from glassmind.interop.canonical import differences
from glassmind.interop.huggingface import FAMILIES, load_folder
from glassmind.interop.huggingface.json_fields import Fields
from glassmind.model import PRESETS

GEMMA: dict[str, Any] = {
    **SIZES,
    "head_dim": 16,
    "query_pre_attn_scalar": 12,
    "sliding_window": 7,
    "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
    "rope_parameters": {
        "full_attention": {"rope_type": "linear", "factor": 4.0, "rope_theta": 5000.0},
        "sliding_attention": {"rope_type": "default", "rope_theta": 100.0},
    },
}


class TestGemma3(FamilyParity):
    name = "Gemma3ForCausalLM"
    config = GEMMA

    def test_our_words_for_it(self, pair: Pair) -> None:
        config = pair.ours.model.config
        assert config.norm_placement == "around" and config.scale_embedding
        assert (config.attention.window, config.attention.global_every) == (7, 2)
        assert config.attention.scale == pytest.approx(12**-0.5)
        assert (config.positions.rope_theta, config.positions.local_theta) == (5000.0, 100.0)


@pytest.mark.parametrize(
    "change",
    [
        {"layer_types": ["full_attention"] * 3},
        {"layer_types": None},  # every sixth, and there are three: all have windows
        {"query_pre_attn_scalar": 16, "rope_parameters": None, "tie_word_embeddings": False},
    ],
    ids=str,
)
def test_variants(change: dict[str, Any], tmp_path: Path) -> None:
    assert differs("Gemma3ForCausalLM", {**GEMMA, **change}, tmp_path) < 1e-4


def test_a_config_of_version_4_is_the_preset() -> None:
    hub = {  # as google/gemma-3-270m has it
        "vocab_size": 262_144,
        "hidden_size": 640,
        "intermediate_size": 2048,
        "num_hidden_layers": 18,
        "num_attention_heads": 4,
        "num_key_value_heads": 1,
        "head_dim": 256,
        "max_position_embeddings": 32_768,
        "query_pre_attn_scalar": 256,
        "rms_norm_eps": 1e-6,
        "rope_theta": 1_000_000.0,
        "rope_local_base_freq": 10_000.0,
        "rope_scaling": None,
        "sliding_window": 512,
        "_sliding_window_pattern": 6,
    }
    read = FAMILIES["gemma3_text"].read(Fields(hub, "config.json"))
    assert differences(read, PRESETS["gemma3"]) == []


def test_the_language_model_inside_one_that_sees(tmp_path: Path) -> None:
    eyes = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 16,
        "patch_size": 8,
    }
    torch.manual_seed(0)
    config = transformers.Gemma3Config(
        text_config=GEMMA, vision_config=eyes, mm_tokens_per_image=4, image_token_index=60
    )
    theirs = transformers.Gemma3ForConditionalGeneration(config).eval()
    theirs.save_pretrained(tmp_path)
    ids = torch.tensor([[5, 3, 9, 11, 2, 40, 7, 8, 9, 10]])
    ours = logits(load_folder(tmp_path).model, ids)
    assert (reference_logits(theirs, ids) - ours).abs().max() < 1e-4


@pytest.mark.parametrize(
    "change",
    [
        {"final_logit_softcapping": 30.0},
        {"attn_logit_softcapping": 50.0},
        {"use_bidirectional_attention": True},
        {"layer_types": ["full_attention", "sliding_attention", "sliding_attention"]},
        {"rope_parameters": {"sliding_attention": {"rope_type": "linear", "factor": 2.0}}},
    ],
    ids=str,
)
def test_refused(change: dict[str, Any]) -> None:
    field = next(iter(change))
    with pytest.raises(UserError, match=field):
        FAMILIES["gemma3_text"].read(Fields({**GEMMA, **change}, "config.json"))


def test_the_reference_is_not_trivial() -> None:
    """Norm weights near zero, as fresh ones are, would hide a missing plus one."""
    weights = reference("Gemma3ForCausalLM", GEMMA).state_dict()
    assert weights["model.norm.weight"].abs().max() > 0.1
