"""GPT-2: learned positions, transposed matrices, query, key and value in one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from family_parity import TOKENS, VOCAB, FamilyParity, Pair, differs, logits
from safetensors.torch import load_file, save_file

from glassmind.errors import UserError
from glassmind.interop.huggingface import FAMILIES, load_folder
from glassmind.interop.huggingface.json_fields import Fields

GPT2: dict[str, Any] = {
    "vocab_size": VOCAB,
    "n_positions": TOKENS,
    "n_embd": 32,
    "n_layer": 3,
    "n_head": 4,
    "n_inner": 40,
    "bos_token_id": None,
    "eos_token_id": None,
}


class TestGPT2(FamilyParity):
    name = "GPT2LMHeadModel"
    config = GPT2

    def test_our_words_for_it(self, pair: Pair) -> None:
        config = pair.ours.model.config
        assert config.positions.kind == "learned" and config.norm == "layernorm"
        assert config.tie_embeddings

    def test_the_file_on_the_hub(self, pair: Pair, tmp_path: Path) -> None:
        """It has no prefix, and holds the masks that the code of that time kept as tensors."""
        weights = load_file(pair.folder / "model.safetensors")
        hub = {name.removeprefix("transformer."): weight for name, weight in weights.items()}
        hub |= {f"h.{n}.attn.bias": torch.ones(1, 1, TOKENS, TOKENS).tril() for n in range(3)}
        save_file(hub, tmp_path / "model.safetensors")
        (tmp_path / "config.json").write_bytes((pair.folder / "config.json").read_bytes())
        ids = torch.arange(20)[None]
        ours = load_folder(tmp_path)
        assert torch.equal(logits(ours.model, ids), logits(pair.ours.model, ids))


def test_the_usual_inner_width_and_untied(tmp_path: Path) -> None:
    change = {"n_inner": None, "tie_word_embeddings": False, "activation_function": "relu"}
    assert differs("GPT2LMHeadModel", {**GPT2, **change}, tmp_path) < 1e-4


@pytest.mark.parametrize(
    "change",
    [
        {"scale_attn_by_inverse_layer_idx": True},
        {"scale_attn_weights": False},
        {"add_cross_attention": True},
        {"activation_function": "gelu"},
    ],
    ids=str,
)
def test_refused(change: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=next(iter(change))):
        FAMILIES["gpt2"].read(Fields({**GPT2, **change}, "config.json"))
