"""BLOOM: ALiBi, a norm on the embeddings, query, key and value head by head."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from family_parity import TOKENS, VOCAB, FamilyParity, Pair, differs

from glassmind.errors import UserError
from glassmind.interop.huggingface import FAMILIES
from glassmind.interop.huggingface.json_fields import Fields

BLOOM: dict[str, Any] = {
    "vocab_size": VOCAB,
    "seq_length": TOKENS,
    "hidden_size": 32,
    "n_layer": 3,
    "n_head": 4,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": 0,
}


class TestBloom(FamilyParity):
    name = "BloomForCausalLM"
    config = BLOOM

    def test_our_words_for_it(self, pair: Pair) -> None:
        config = pair.ours.model.config
        assert config.positions.kind == "alibi" and config.embedding_norm
        assert config.max_tokens == TOKENS


def test_heads_that_are_no_power_of_two(tmp_path: Path) -> None:
    change = {"hidden_size": 24, "n_head": 6, "tie_word_embeddings": False}
    assert differs("BloomForCausalLM", {**BLOOM, **change}, tmp_path) < 1e-4


def test_the_names_on_the_hub() -> None:
    hub = {"n_embed": 1024, "n_layer": 24, "num_attention_heads": 16, "vocab_size": 250_880}
    read = FAMILIES["bloom"].read(Fields(hub, "config.json"))
    assert (read.d_model, read.n_layers, read.attention.n_heads) == (1024, 24, 16)


def test_refused() -> None:
    with pytest.raises(UserError, match="apply_residual_connection_post_layernorm"):
        change = {"apply_residual_connection_post_layernorm": True}
        FAMILIES["bloom"].read(Fields({**BLOOM, **change}, "config.json"))
