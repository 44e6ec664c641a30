"""Llama, and SmolLM2, which is one: grouped heads, SwiGLU, RoPE and its ways to be stretched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from family_parity import SIZES, FamilyParity, Pair, differs

from glassmind.errors import UserError
from glassmind.interop.huggingface import FAMILIES
from glassmind.interop.huggingface.json_fields import Fields
from glassmind.model import PRESETS

LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500_000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 24}


CONFIG = {**SIZES, "rope_parameters": LLAMA3}


class TestLlama(FamilyParity):
    name = "LlamaForCausalLM"
    config = CONFIG

    def test_our_words_for_it(self, pair: Pair) -> None:
        config = pair.ours.model.config
        assert config.attention.n_kv_heads == 2
        assert config.positions.scaling.kind == "llama3"
        assert not config.tie_embeddings


@pytest.mark.parametrize(
    "change",
    [
        {"tie_word_embeddings": True},
        {"attention_bias": True, "mlp_bias": True},
        {"head_dim": 16, "num_key_value_heads": 1},
        {"hidden_act": "gelu_pytorch_tanh"},
        {"rope_parameters": {"rope_type": "linear", "rope_theta": 100.0, "factor": 4.0}},
        {"rope_parameters": {**YARN, "rope_theta": 1000.0, "beta_fast": 16, "truncate": False}},
        {"rope_parameters": {**YARN, "rope_theta": 1000.0, "mscale": 1.0, "mscale_all_dim": 0.5}},
    ],
    ids=str,
)
def test_variants(change: dict[str, Any], tmp_path: Path) -> None:
    assert differs("LlamaForCausalLM", {**SIZES, **change}, tmp_path) < 1e-4


HUB = {  # as meta-llama/Llama-3.1-8B has it, in the words of version 4
    "vocab_size": 128_256,
    "hidden_size": 4096,
    "intermediate_size": 14_336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "max_position_embeddings": 131_072,
    "rms_norm_eps": 1e-5,
    "rope_theta": 500_000.0,
    "rope_scaling": {
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
        "rope_type": "llama3",
    },
}


def test_a_config_of_version_4_is_the_preset() -> None:
    from glassmind.interop.canonical import differences

    read = FAMILIES["llama"].read(Fields(HUB, "config.json"))
    assert differences(read, PRESETS["llama3.1"]) == []


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"hidden_act": "gelu"}, "hidden_act"),
        ({"rope_scaling": {"rope_type": "dynamic", "factor": 2.0}}, "rope_type"),
        ({"rope_scaling": {"type": "yarn", "factor": 2.0, "attention_factor": 3.0}}, "attention_"),
        ({"rope_scaling": {"rope_type": "llama3", "factor": 2.0}}, "low_freq_factor"),
        ({"partial_rotary_factor": 0.5}, "partial_rotary_factor"),
        ({"quantization_config": {"bits": 4}}, "quantization_config"),
        ({"hidden_size": "4096"}, "hidden_size"),
        ({"hidden_size": 4095}, "d_model"),
        ({"num_hidden_layers": -1}, "num_hidden_layers"),
        ({"rms_norm_eps": float("nan")}, "rms_norm_eps"),
        ({"rope_theta": 1.0}, "rope_theta"),
        ({"tie_word_embeddings": 1}, "tie_word_embeddings"),
    ],
    ids=str,
)
def test_what_we_cannot_compute_is_refused_by_name(change: dict[str, Any], named: str) -> None:
    with pytest.raises(UserError, match=named):
        FAMILIES["llama"].read(Fields({**HUB, **change}, "config.json"))
