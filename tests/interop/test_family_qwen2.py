"""Qwen 2 and 2.5: biases on queries, keys and values; windows where the config switches them on."""

from __future__ import annotations

from pathlib import Path

import pytest
from family_parity import SIZES, FamilyParity, Pair, differs

from glassmind.errors import UserError
from glassmind.interop.huggingface import FAMILIES
from glassmind.interop.huggingface.json_fields import Fields

CONFIG = {**SIZES, "tie_word_embeddings": True}
WINDOWS = {"use_sliding_window": True, "sliding_window": 7}
WINDOWED = {
    **SIZES,
    **WINDOWS,
    "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
}


class TestQwen2(FamilyParity):
    name = "Qwen2ForCausalLM"
    config = CONFIG

    def test_our_words_for_it(self, pair: Pair) -> None:
        config = pair.ours.model.config
        assert config.attention.bias and not config.attention.output_bias
        assert config.attention.window == 0


class TestQwen2WithWindows(FamilyParity):
    name = "Qwen2ForCausalLM"
    config = WINDOWED


def test_windows_in_all_layers(tmp_path: Path) -> None:
    config = {**SIZES, **WINDOWS, "max_window_layers": 0}
    assert differs("Qwen2ForCausalLM", config, tmp_path) < 1e-4


def test_windows_after_the_first_few_layers_are_refused() -> None:
    with pytest.raises(UserError, match="layer_types"):
        config = {**SIZES, **WINDOWS, "max_window_layers": 1}
        FAMILIES["qwen2"].read(Fields(config, "config.json"))
