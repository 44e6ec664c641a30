"""Apertus: queries and keys normalised, no gate. What this package's own default is written as."""

from __future__ import annotations

from pathlib import Path

import pytest
from family_parity import SIZES, FamilyParity, differs

from glassmind.errors import UserError

ROPE = {"rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0}}


class TestApertus(FamilyParity):
    name = "ApertusForCausalLM"
    config = SIZES | ROPE | {"hidden_act": "relu2"}


@pytest.mark.parametrize(
    "more",
    [
        {"hidden_act": "relu2", "tie_word_embeddings": True, "attention_bias": True},
        {"hidden_act": "relu2", "rope_parameters": None},  # stretched, then, as for Llama 3.1
        {"hidden_act": "gelu_pytorch_tanh"},
        {"hidden_act": "relu", "num_key_value_heads": None},
    ],
)
def test_its_variants(more: dict[str, object], tmp_path: Path) -> None:
    assert differs("ApertusForCausalLM", SIZES | ROPE | more, tmp_path) < 1e-4


def test_the_bend_of_its_published_models_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"hidden_act.*relu2"):
        differs("ApertusForCausalLM", SIZES | ROPE, tmp_path)
