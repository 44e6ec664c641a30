"""OLMo 3: OLMo 2 with windows in three layers of four, and only the fourth's RoPE stretched."""

from __future__ import annotations

import pytest
from family_parity import SIZES, FamilyParity, Pair

from glassmind.errors import UserError
from glassmind.interop.canonical import differences
from glassmind.interop.huggingface import FAMILIES
from glassmind.interop.huggingface.json_fields import Fields
from glassmind.model import PRESETS

YARN = {
    "rope_type": "yarn",
    "factor": 4.0,
    "original_max_position_embeddings": 24,
    "attention_factor": 1.138629436111989,
    "beta_fast": 32,
    "beta_slow": 1,
}


CONFIG = {
    **SIZES,
    "sliding_window": 7,
    "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
    "rope_parameters": {
        "full_attention": {**YARN, "rope_theta": 1000.0},
        "sliding_attention": {"rope_type": "default", "rope_theta": 1000.0},
    },
}


class TestOlmo3(FamilyParity):
    name = "Olmo3ForCausalLM"
    config = CONFIG

    def test_our_words_for_it(self, pair: Pair) -> None:
        config = pair.ours.model.config
        assert (config.attention.window, config.attention.global_every) == (7, 2)
        assert config.positions.scaling.kind == "yarn"


HUB = {  # as allenai/Olmo-3-1025-7B has it
    "vocab_size": 100_278,
    "hidden_size": 4096,
    "intermediate_size": 11_008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
    "max_position_embeddings": 65_536,
    "rms_norm_eps": 1e-6,
    "rope_theta": 500_000,
    "rope_scaling": {
        "rope_type": "yarn",
        "factor": 8.0,
        "original_max_position_embeddings": 8192,
        "attention_factor": 1.2079441541679836,
        "beta_fast": 32,
        "beta_slow": 1,
    },
    "sliding_window": 4096,
}


def test_a_config_of_version_4_is_the_preset() -> None:
    read = FAMILIES["olmo3"].read(Fields(HUB, "config.json"))
    assert differences(read, PRESETS["olmo3"]) == []


def test_what_transformers_ignores_is_refused() -> None:
    scaling = {**HUB["rope_scaling"], "truncate": False}  # type: ignore[dict-item]
    with pytest.raises(UserError, match="truncate"):
        FAMILIES["olmo3"].read(Fields({**HUB, "rope_scaling": scaling}, "config.json"))
