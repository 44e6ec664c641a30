"""OLMo 2: norms after the branches, and over all heads' queries and keys at once."""

from __future__ import annotations

from pathlib import Path

from family_parity import SIZES, FamilyParity, Pair, differs


class TestOlmo2(FamilyParity):
    name = "Olmo2ForCausalLM"
    config = SIZES

    def test_our_words_for_it(self, pair: Pair) -> None:
        config = pair.ours.model.config
        assert config.norm_placement == "after"
        assert config.attention.qk_norm_over == "all"


def test_with_biases_and_without_groups(tmp_path: Path) -> None:
    change = {"attention_bias": True, "num_key_value_heads": None, "rms_norm_eps": 0.1}
    assert differs("Olmo2ForCausalLM", {**SIZES, **change}, tmp_path) < 1e-4
