"""SmolLM3: Llama with every n-th layer left without positions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from family_parity import SIZES, FamilyParity, Pair, differs

from glassmind.errors import UserError
from glassmind.interop.huggingface import FAMILIES
from glassmind.interop.huggingface.json_fields import Fields

CONFIG = {**SIZES, "no_rope_layers": [1, 0, 1]}


class TestSmolLM3(FamilyParity):
    name = "SmolLM3ForCausalLM"
    config = CONFIG

    def test_our_words_for_it(self, pair: Pair) -> None:
        config = pair.ours.model.config
        assert config.positions.nope_every == 2
        assert [config.layer(n).rotary for n in range(3)] == ["global", "none", "global"]


@pytest.mark.parametrize(
    "change",
    [
        {"no_rope_layer_interval": 3, "mlp_bias": True},
        {"no_rope_layers": [1, 1, 1], "tie_word_embeddings": False},
    ],
    ids=str,
)
def test_variants(change: dict[str, Any], tmp_path: Path) -> None:
    assert differs("SmolLM3ForCausalLM", {**SIZES, **change}, tmp_path) < 1e-4


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"no_rope_layers": [0, 1, 1]}, "no_rope_layers"),
        ({"no_rope_layers": [1]}, "no_rope_layers"),
        ({"no_rope_layer_interval": 0}, "no_rope_layer_interval"),
        # Only the layers without positions would have windows.
        (
            {"use_sliding_window": True, "sliding_window": 8, "no_rope_layer_interval": 2},
            "layer_types",
        ),
    ],
    ids=str,
)
def test_refused(change: dict[str, Any], named: str) -> None:
    with pytest.raises(UserError, match=named):
        FAMILIES["smollm3"].read(Fields({**SIZES, **change}, "config.json"))
