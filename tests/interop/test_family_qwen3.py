"""Qwen3: heads of their own width, normalised queries and keys, no biases."""

from __future__ import annotations

from pathlib import Path

from family_parity import SIZES, FamilyParity, Pair, differs

CONFIG = {**SIZES, "head_dim": 16}


class TestQwen3(FamilyParity):
    name = "Qwen3ForCausalLM"
    config = CONFIG

    def test_our_words_for_it(self, pair: Pair) -> None:
        attention = pair.ours.model.config.attention
        assert attention.qk_norm and attention.qk_norm_over == "head"
        assert attention.head_dim == 16


def test_with_biases_and_tied(tmp_path: Path) -> None:
    change = {"attention_bias": True, "tie_word_embeddings": True, "head_dim": 8}
    assert differs("Qwen3ForCausalLM", {**SIZES, **change}, tmp_path) < 1e-4
