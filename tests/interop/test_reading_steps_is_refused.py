"""Other formats have no words for a model that reads steps, and say which setting it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tiny_presets import VOCAB, tiny

from glassmind.errors import UserError
from glassmind.interop.gguf.save import save_gguf
from glassmind.interop.huggingface.folder import choose_family, save_folder
from glassmind.interop.peft import Adapter, save_adapter
from glassmind.interop.pretrained import Pretrained
from glassmind.model import Transformer
from glassmind.model.config import ReasoningConfig

QWEN = tiny("qwen3").config
WORDS = "w" * VOCAB


@pytest.mark.parametrize(
    ("reasoning", "named"),
    [
        (ReasoningConfig("flow", token_kinds=WORDS), "reasoning.mask = 'flow'"),
        (ReasoningConfig(positions="restart", token_kinds=WORDS), "reasoning.positions = 'resta"),
        (ReasoningConfig(step_bias=True, token_kinds=WORDS), "reasoning.step_bias = True"),
    ],
)
def test_the_setting_is_named(reasoning: ReasoningConfig, named: str, tmp_path: Path) -> None:
    model = Transformer(replace(QWEN, reasoning=reasoning))
    pretrained = Pretrained(model, None, None, frozenset(), None, "mine", tmp_path)
    with pytest.raises(UserError, match=f"no way to say {named}") as refusal:
        save_folder(pretrained, tmp_path / "folder")
    assert WORDS not in str(refusal.value)
    with pytest.raises(UserError, match=f"but for {named.split()[0]} = "):
        save_gguf(pretrained, tmp_path / "file.gguf")
    with pytest.raises(UserError, match=named):
        save_adapter(Adapter({}, 1, 1.0), model, tmp_path / "adapter", base="mine")
    assert list(tmp_path.iterdir()) == []


def test_gaps_of_training_do_not_hinder_an_export() -> None:
    gaps = replace(QWEN, reasoning=ReasoningConfig(positions="random"))
    assert choose_family(gaps) == choose_family(QWEN)
