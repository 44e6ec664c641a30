"""Decoders against the ``tokenizers`` library."""

from __future__ import annotations

import random
from typing import Any

import pytest
from tokenizers import Regex
from tokenizers import decoders as reference

from glassmind.tokenize.composed import decoders
from glassmind.tokenize.composed.decoders import Decoder
from glassmind.tokenize.composed.patterns import Pattern

LLAMA = decoders.Sequence(
    (
        decoders.Replace(Pattern("▁", is_regex=False), " "),
        decoders.ByteFallback(),
        decoders.Fuse(),
        decoders.Strip(" ", 1, 0),
    )
)
CASES: dict[str, tuple[Decoder, Any]] = {
    "bytes": (decoders.ByteLevel(), reference.ByteLevel()),
    "byte fallback": (decoders.ByteFallback(), reference.ByteFallback()),
    "fuse": (decoders.Fuse(), reference.Fuse()),
    "replace": (
        decoders.Replace(Pattern("▁|##"), " "),
        reference.Replace(Regex("▁|##"), " "),
    ),
    "strip": (decoders.Strip(" ", 2, 0), reference.Strip(" ", 2, 0)),
    "metaspace": (decoders.Metaspace(), reference.Metaspace()),
    "metaspace never": (
        decoders.Metaspace(prepend_scheme="never"),
        reference.Metaspace(prepend_scheme="never"),
    ),
    "wordpiece": (decoders.WordPiece(), reference.WordPiece()),
    "wordpiece, as it is": (
        decoders.WordPiece("##", cleanup=False),
        reference.WordPiece("##", cleanup=False),
    ),
    "bpe": (decoders.BPEDecoder(), reference.BPEDecoder()),
    "llama": (
        LLAMA,
        reference.Sequence(
            [
                reference.Replace("▁", " "),
                reference.ByteFallback(),
                reference.Fuse(),
                reference.Strip(" ", 1, 0),
            ]
        ),
    ),
}
TOKENS = [
    *("the", "▁the", "▁▁", "##ing", "<0xE2>", "<0x82>", "<0xAC>", "<0xFF>", "<0x4", "<0xZZ>"),
    *("Ġcat", "Ã©", "Ã", "日本", " ", "  x", "dog</w>", "</w>", "n't", "'", ".", "do not", "'s"),
    *("<|end|>", "a b", "<0x0a>"),
]


@pytest.mark.parametrize("name", CASES)
def test_tokens_decode_as_in_the_reference(name: str) -> None:
    ours, theirs = CASES[name]
    rng = random.Random(0)
    for _ in range(500):
        tokens = rng.choices(TOKENS, k=rng.randint(1, 8))
        assert "".join(ours.decode(list(tokens))) == theirs.decode(tokens), tokens


@pytest.mark.parametrize("name", CASES)
def test_no_tokens_are_no_text(name: str) -> None:
    assert "".join(CASES[name][0].decode([])) == ""


@pytest.mark.parametrize("name", ["bytes", "byte fallback", "metaspace", "wordpiece, as it is"])
def test_the_shares_of_the_tokens_are_the_text(name: str) -> None:
    ours, _ = CASES[name]
    tokens = {
        "bytes": ["Ġcat", "Ã", "©", "<|end|>"],
        "byte fallback": ["a", "<0xE2>", "<0x82>", "<0xAC>"],
        "metaspace": ["▁the", "▁▁", "x"],
        "wordpiece, as it is": ["the", "##me", "x"],
    }[name]
    shares = [share if isinstance(share := ours.show(t), bytes) else share.encode() for t in tokens]
    assert b"".join(shares).removeprefix(ours.lead).decode() == "".join(ours.decode(tokens))


def test_llamas_space_in_front_goes_once() -> None:
    assert LLAMA.lead == b" "
    assert LLAMA.show("▁a") == " a"
    assert LLAMA.show("<0xE2>") == b"\xe2"


def test_stripping_more_than_there_is_leaves_nothing() -> None:
    assert decoders.Strip("x", 3, 3).decode(["xx", "xxxxxxx", "axa", ""]) == ["", "x", "axa", ""]
