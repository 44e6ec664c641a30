"""Added tokens that stand beside a vocabulary, not in it: the ids that ``AutoTokenizer`` gives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
import transformers

from glassmind.errors import UserError
from glassmind.interop.tokenizers import load_tokenizer
from glassmind.tokenize.bpe.byte_alphabet import BYTE_TO_CHARACTER
from glassmind.tokenize.composed.tokenizer import ComposedTokenizer

TEXT = "<|im_start|>user\nthe 123 of<tool_call>them</tool_call> <|im_end|>\n<|endoftext|> x"
MERGES = ("t h", "th e", "Ġ the", "o f", "1 2")


def token(content: str, *, special: bool) -> dict[str, Any]:
    flags = dict.fromkeys(("lstrip", "rstrip", "normalized", "single_word"), False)
    return {"content": content, "special": special, **flags}


def files(folder: Path, **named: dict[str, Any]) -> Path:
    for name, content in named.items():
        (folder / f"{name}.json").write_text(json.dumps(content), "utf-8")
    return folder


def byte_level(folder: Path, **named: dict[str, Any]) -> Path:
    spellings = [*BYTE_TO_CHARACTER, *(merge.replace(" ", "") for merge in MERGES), "<|endoftext|>"]
    vocab = {spelling: token_id for token_id, spelling in enumerate(spellings)}
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *MERGES]), "utf-8")
    return files(folder, vocab=vocab, **named)


def sentence_piece(folder: Path, **named: dict[str, Any]) -> Path:
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["the user of them all, the 123 of x"] * 20),
        model_prefix=str(folder / "tokenizer"),
        model_type="bpe",
        vocab_size=300,
        byte_fallback=True,
        character_coverage=1.0,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        minloglevel=2,
    )
    return files(folder, **named)


def ours_and_theirs(folder: Path) -> tuple[ComposedTokenizer, Any]:
    (folder / "config.json").write_text('{"model_type": "gpt2"}', "utf-8")
    ours = load_tokenizer(folder)
    assert isinstance(ours, ComposedTokenizer)
    return ours, transformers.AutoTokenizer.from_pretrained(folder)


def check(ours: ComposedTokenizer, theirs: Any, start: int) -> None:
    assert ours.encode_marked(TEXT) == theirs(TEXT, add_special_tokens=False).input_ids
    names = ("<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>")
    assert [ours.id_of(name) for name in names] == [start, start + 1, start + 2, start + 3]
    assert ours.special["<|im_end|>"] == start + 1 and "<tool_call>" not in ours.special
    # What a person writes is never a special token.
    assert set(ours.encode(TEXT)).isdisjoint(ours.special.values())
    assert start + 2 in ours.encode(TEXT)


def decoder(start: int) -> dict[str, Any]:
    return {
        str(start): token("<|im_start|>", special=True),
        str(start + 1): token("<|im_end|>", special=True),
        str(start + 2): token("<tool_call>", special=False),
        str(start + 3): token("</tool_call>", special=False),
    }


OLD = {"<|im_start|>": 0, "<|im_end|>": 1, "<tool_call>": 2, "</tool_call>": 3}


@pytest.mark.parametrize("kind", ["Qwen2Tokenizer", "GPT2Tokenizer"])
def test_beside_a_vocabulary_and_merges(tmp_path: Path, kind: str) -> None:
    nothing = dict.fromkeys(("unk_token", "bos_token", "pad_token"))
    named = {"tokenizer_class": kind, "eos_token": "<|im_end|>", **nothing}
    config = {**named, "added_tokens_decoder": decoder(262)}
    folder = byte_level(tmp_path, tokenizer_config=config)
    ours, theirs = ours_and_theirs(folder)
    check(ours, theirs, 262)
    assert ours.facts.eos_token == "<|im_end|>"
    for text in ("12 123 don't", "e\u0301 é", "  the\n\nof"):
        assert ours.encode(text) == theirs(text, add_special_tokens=False).input_ids


def test_beside_a_vocabulary_in_the_older_files(tmp_path: Path) -> None:
    folder = byte_level(
        tmp_path,
        tokenizer_config={"tokenizer_class": "GPT2Tokenizer"},
        added_tokens={name: 262 + n for name, n in OLD.items()},
        special_tokens_map={
            "eos_token": "<|im_end|>",
            "additional_special_tokens": ["<|im_start|>", "<|im_end|>"],
        },
    )
    ours, theirs = ours_and_theirs(folder)
    check(ours, theirs, 262)


def test_beside_a_sentencepiece_model(tmp_path: Path) -> None:
    config = {"tokenizer_class": "LlamaTokenizer", "eos_token": "<|im_end|>", "legacy": False,
              "bos_token": "<s>", "unk_token": "<unk>", "add_bos_token": True,
              "added_tokens_decoder": decoder(300)}  # fmt: skip
    folder = sentence_piece(tmp_path, tokenizer_config=config)
    ours = load_tokenizer(folder)
    assert isinstance(ours, ComposedTokenizer)
    names = ("<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>")
    assert [ours.id_of(name) for name in names] == [300, 301, 302, 303]
    processor = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
    marked = ours.encode_marked("the user<|im_end|>", template=True)
    assert marked == [1, *processor.encode("the user"), 301]
    assert 302 in ours.encode("of<tool_call>") and 301 not in ours.encode("of<|im_end|>")
    assert ours.decode([*processor.encode("the user"), 301, 302]) == "the user<tool_call>"
    closed = {**config, "add_bos_token": False, "add_eos_token": True}
    files(folder, tokenizer_config=closed)
    again = load_tokenizer(folder)
    assert isinstance(again, ComposedTokenizer)
    assert (again.template.before, again.template.after) == ((), (2,))


def test_beside_a_sentencepiece_model_in_the_older_files(tmp_path: Path) -> None:
    folder = sentence_piece(
        tmp_path,
        added_tokens={name: 300 + n for name, n in OLD.items()},
        special_tokens_map={"eos_token": {"content": "<|im_end|>"}, "pad_token": "<not there>"},
    )
    ours = load_tokenizer(folder)
    assert isinstance(ours, ComposedTokenizer)
    assert ours.special["<|im_end|>"] == 301 and "<not there>" not in ours.special
    assert ours.id_of("<tool_call>") == 302 and ours.vocab_size == 304


@pytest.mark.parametrize(("named", "said"), [
    ({"added_tokens": {"<a>": 3}}, "which another token has"),
    ({"added_tokens": {"the": 300}}, "another id than the vocabulary"),
    ({"added_tokens": {"<a>": "x"}}, "must be an id"),
    ({"added_tokens": {"": 300}}, "of 1 to 1000 characters"),
    ({"added_tokens": {"<a>": 1 << 40}}, "an id above"),
    ({"tokenizer_config": {"added_tokens_decoder": {"x": {"content": "<a>"}}}}, "token's id"),
    ({"tokenizer_config": {"added_tokens_decoder": {"300": {"content": 5}}}}, "must be there"),
    ({"tokenizer_config": {"added_tokens_decoder": [1]}}, "must be there and be an object"),
    ({"special_tokens_map": {"additional_special_tokens": [5]}}, "must be a token"),
])  # fmt: skip
def test_added_tokens_that_cannot_be_are_refused(
    tmp_path: Path, named: dict[str, Any], said: str
) -> None:
    folder = byte_level(tmp_path, **named)
    with pytest.raises(UserError, match=said):
        load_tokenizer(folder)
