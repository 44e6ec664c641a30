"""The files of a folder: several of weights, what ends a text, what is left when writing fails."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from family_parity import SIZES, logits, reference, reference_logits
from safetensors.torch import load_file, save_file

from glassmind.errors import UserError
from glassmind.interop.huggingface import folder as folder_module
from glassmind.interop.huggingface import load_folder, save_folder
from glassmind.interop.tokenizers import composed
from glassmind.tokenize import train_bpe
from glassmind.tokenize.composed.character_bpe import CharacterBPE
from glassmind.tokenize.composed.tokenizer import ComposedTokenizer, Template, TokenizerFacts

IDS = torch.tensor([[3, 1, 4, 1, 5, 9, 2, 6]])


@pytest.fixture
def llama(tmp_path: Path) -> Path:
    folder = tmp_path / "llama"
    reference("LlamaForCausalLM", {**SIZES, "tie_word_embeddings": True}).save_pretrained(folder)
    return folder


def declare(folder: Path, name: str, **fields: Any) -> None:
    path = folder / name
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def test_several_files_of_weights(
    llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = load_folder(llama)
    monkeypatch.setattr(folder_module, "MOST_SHARD_BYTES", 20_000)
    save_folder(ours, tmp_path / "shards")
    files = sorted(path.name for path in (tmp_path / "shards").glob("*.safetensors"))
    assert len(files) > 2 and files[0] == f"model-00001-of-{len(files):05}.safetensors"
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "shards").eval()
    expected = logits(ours.model, IDS)
    assert (reference_logits(theirs, IDS) - expected).abs().max() < 1e-4
    assert torch.equal(logits(load_folder(tmp_path / "shards").model, IDS), expected)


def test_what_transformers_writes_in_several_files(tmp_path: Path) -> None:
    theirs = reference("LlamaForCausalLM", SIZES)
    theirs.save_pretrained(tmp_path, max_shard_size="20KB")
    assert (tmp_path / "model.safetensors.index.json").is_file()
    ours = logits(load_folder(tmp_path).model, IDS)
    assert (reference_logits(theirs, IDS) - ours).abs().max() < 1e-4


@pytest.mark.parametrize("equal", [True, False])
def test_both_matrices_of_a_model_that_ties_them(llama: Path, equal: bool) -> None:
    """They are one only if they are equal, as in transformers."""
    weights = load_file(llama / "model.safetensors")
    weights["lm_head.weight"] = weights["model.embed_tokens.weight"] * (1 if equal else 2)
    save_file(weights, llama / "model.safetensors", {"format": "pt"})
    ours = load_folder(llama)
    assert ours.model.config.tie_embeddings is equal
    theirs = transformers.AutoModelForCausalLM.from_pretrained(llama).eval()
    assert (reference_logits(theirs, IDS) - logits(ours.model, IDS)).abs().max() < 1e-4


def test_what_ends_a_text(llama: Path) -> None:
    declare(llama, "config.json", eos_token_id=7, bos_token_id=3)
    declare(llama, "generation_config.json", eos_token_id=[5, 6, 100_000])
    found = load_folder(llama)
    assert found.stop_ids == {5, 6}  # those that the model has; config.json is asked second
    assert found.bos_id == 3
    (llama / "generation_config.json").unlink()
    assert load_folder(llama).stop_ids == {7}
    declare(llama, "config.json", eos_token_id="</s>")
    with pytest.raises(UserError, match=r"eos_token_id \(</s>\) must be a whole number"):
        load_folder(llama)


def test_a_text_begins_as_its_tokenizer_says(llama: Path, tmp_path: Path) -> None:
    """Qwen and SmolLM2 name a token for the beginning and put none there."""
    declare(llama, "config.json", bos_token_id=3)
    letters = CharacterBPE({chr(97 + n): n for n in range(26)}, [])
    for template, expected in ((Template(), None), (Template((4,)), 4)):
        out = tmp_path / f"{expected}"
        tokenizer = ComposedTokenizer(letters, template=template)
        save_folder(replace(load_folder(llama), tokenizer=tokenizer), out, "llama")
        declare(out, "config.json", bos_token_id=3)
        assert load_folder(out).bos_id == expected


def test_a_tokenizer_of_our_own(llama: Path, tmp_path: Path) -> None:
    tokenizer = train_bpe(["a text, and a text"], 263)
    given = composed(tokenizer, TokenizerFacts())
    save_folder(replace(load_folder(llama), tokenizer=given), tmp_path / "o")
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "o")
    text = "another text: ünd\t."
    assert theirs(text).input_ids == tokenizer.encode(text)
    ours = load_folder(tmp_path / "o").tokenizer
    assert ours is not None and ours.encode(text) == tokenizer.encode(text)


def test_nothing_is_left_where_writing_fails(
    llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    found = load_folder(llama)
    monkeypatch.setattr(folder_module, "write_file", full)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UserError, match="No space left"):
        save_folder(found, tmp_path / "out")
    assert sorted(tmp_path.iterdir()) == before


def test_nothing_is_written_over(llama: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="exists already"):
        save_folder(load_folder(llama), llama)
    (tmp_path / "empty").mkdir()
    save_folder(load_folder(llama), tmp_path / "empty")
    assert (tmp_path / "empty" / "config.json").is_file()


def test_training_a_loaded_model_leaves_its_file_alone(llama: Path) -> None:
    """Weights are mapped from the file, and writing to them must change memory only."""
    before = (llama / "model.safetensors").read_bytes()
    model = load_folder(llama).model
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
    assert (llama / "model.safetensors").read_bytes() == before
