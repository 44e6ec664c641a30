"""Our own default, which is written as an Apertus; and what no family has is told by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import transformers
from family_parity import VOCAB, logits, reference_logits

from glassmind.errors import UserError
from glassmind.interop.huggingface import choose_family, save_folder
from glassmind.interop.pretrained import Pretrained
from glassmind.model import PRESETS, FeedForwardConfig, Transformer
from glassmind.model.config import FeedForwardKind

EXPRESSED = {
    "transformer": "marian",
    "llama2": "llama",
    "llama3": "llama",
    "llama3.1": "llama",
    "smollm2": "llama",
    "qwen2.5": "qwen2",
    "gemma3": "gemma3_text",
    "qwen3-moe": "qwen3_moe",
    "deepseek-v3": "deepseek_v3",
    "glassmind": "apertus",
}


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_can_be_written(name: str) -> None:
    family = choose_family(PRESETS[name], EXPRESSED.get(name, name))
    assert family.write(PRESETS[name])["vocab_size"] == PRESETS[name].vocab_size
    assert not choose_family(PRESETS[name]).cannot_express(PRESETS[name])


def test_the_value_that_stands_against_it_is_named() -> None:
    with pytest.raises(UserError, match=r"apertus.*norm_placement = 'around'"):
        choose_family(replace(PRESETS["glassmind"], norm_placement="around"))
    with pytest.raises(UserError, match="llama has no way to say"):
        choose_family(PRESETS["gpt2"], "llama")
    with pytest.raises(UserError, match="is not a family"):
        choose_family(PRESETS["gpt2"], "gemma3")


@pytest.mark.parametrize(("kind", "family"), [("relu2", "apertus"), ("swiglu", "qwen3")])
def test_with_and_without_a_gate(kind: FeedForwardKind, family: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = replace(PRESETS["glassmind"], vocab_size=VOCAB, d_model=32)
    config = replace(config, feed_forward=FeedForwardConfig(kind))
    model = Transformer(config).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.2)
    save_folder(Pretrained(model, None, None, frozenset({6}), None, "it", tmp_path), tmp_path / "a")
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "a").eval()
    assert theirs.config.model_type == family and theirs.generation_config.eos_token_id == 6
    ids = torch.arange(40)[None]
    assert (reference_logits(theirs, ids) - logits(model, ids)).abs().max() < 1e-4
