"""Mistral: Llama with a sliding window in every layer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from family_parity import SIZES, FamilyParity, differs

from glassmind.errors import UserError
from glassmind.interop.huggingface import FAMILIES
from glassmind.interop.huggingface.json_fields import Fields

CONFIG = {**SIZES, "sliding_window": 7}


class TestMistral(FamilyParity):
    name = "MistralForCausalLM"
    config = CONFIG


def test_without_a_window(tmp_path: Path) -> None:
    change = {"sliding_window": None}
    assert differs("MistralForCausalLM", {**SIZES, **change}, tmp_path) < 1e-4


def test_a_missing_window_is_the_usual_one() -> None:
    read = FAMILIES["mistral"].read(Fields(SIZES, "config.json"))
    assert read.attention.window == 4096


@pytest.mark.parametrize(
    "change",
    [
        {"sliding_window": 0},
        {"layer_types": ["full_attention"] * 3},
        {"sliding_window": 4, "rope_scaling": {"rope_type": "linear", "factor": 2.0}},
    ],
    ids=str,
)
def test_refused(change: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"sliding_window|layer_types"):
        FAMILIES["mistral"].read(Fields({**SIZES, **change}, "config.json"))
