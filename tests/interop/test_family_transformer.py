"""The original Transformer's decoder: Marian's, used as a language model without an encoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from family_parity import TOKENS, VOCAB, FamilyParity, Pair, differs

from glassmind.errors import UserError
from glassmind.interop.huggingface import FAMILIES
from glassmind.interop.huggingface.json_fields import Fields

MARIAN: dict[str, Any] = {
    "vocab_size": VOCAB,
    "d_model": 32,
    "decoder_layers": 3,
    "decoder_attention_heads": 4,
    "decoder_ffn_dim": 40,
    "encoder_layers": 3,
    "encoder_attention_heads": 4,
    "max_position_embeddings": TOKENS,
    "activation_function": "relu",
    "scale_embedding": True,
    "is_encoder_decoder": False,
    "bos_token_id": None,
    "eos_token_id": None,
    "forced_eos_token_id": None,
    "pad_token_id": 0,
    "decoder_start_token_id": 0,
}


class TestTransformer(FamilyParity):
    name = "MarianForCausalLM"
    config = MARIAN

    def test_our_words_for_it(self, pair: Pair) -> None:
        config = pair.ours.model.config
        assert config.positions.kind == "sinusoidal"
        assert config.norm_placement == "residual" and not config.final_norm


def test_with_another_activation_and_unscaled(tmp_path: Path) -> None:
    change = {"activation_function": "gelu_new", "scale_embedding": False}
    assert differs("MarianForCausalLM", {**MARIAN, **change}, tmp_path) < 1e-4


@pytest.mark.parametrize(
    "change",
    [{"is_encoder_decoder": True}, {"normalize_before": True}, {"activation_function": "gelu"}],
    ids=str,
)
def test_refused(change: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=next(iter(change))):
        FAMILIES["marian"].read(Fields({**MARIAN, **change}, "config.json"))
