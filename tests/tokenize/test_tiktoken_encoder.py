from __future__ import annotations

import json
import pickle
import random
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glassmind.errors import UserError
from glassmind.tokenize import BPETokenizer, save, train_bpe
from glassmind.tokenize.bpe.byte_alphabet import BYTE_ORDER, BYTE_TO_CHARACTER, spell
from glassmind.tokenize.composed.added_tokens import AddedToken
from glassmind.tokenize.composed.character_bpe import CharacterBPE
from glassmind.tokenize.composed.decoders import ByteLevel as ByteLevelDecoder
from glassmind.tokenize.composed.normalize import UnicodeForm
from glassmind.tokenize.composed.patterns import CL100K, GPT2, O200K, QWEN2, Pattern
from glassmind.tokenize.composed.pretokenize import (
    ByteLevel,
    PreTokenizer,
    Sequence,
    Split,
    WhitespaceSplit,
)
from glassmind.tokenize.composed.tokenizer import ComposedTokenizer
from glassmind.tokenize.corpus.tiktoken_encoder import with_tiktoken

pytest.importorskip("tiktoken")

TRAINED = train_bpe(
    [
        "the cat sat on the mat, then the other cat; naïve café 日本語 日本 aaaa aa don't",
        "".join(random.Random(0).choices("ab ", k=500)),
    ],
    340,
)
FAST = with_tiktoken(TRAINED)


def composed(
    pre_tokenizer: PreTokenizer, *, ignore_merges: bool = False, extra: tuple[str, ...] = ()
) -> ComposedTokenizer:
    """A tokenizer as other people's files describe it, with the merges of ``TRAINED``."""

    def spelled(token_id: int) -> str:
        return spell(TRAINED.token_bytes(token_id))

    tokens = [*map(spelled, range(7, TRAINED.vocab_size)), *extra]
    model = CharacterBPE(
        {token: token_id for token_id, token in enumerate(tokens)},
        [(spelled(left), spelled(right)) for left, right in TRAINED.merges],
        ignore_merges=ignore_merges,
    )
    size = len(tokens)
    return ComposedTokenizer(
        model,
        UnicodeForm("NFC"),
        pre_tokenizer,
        ByteLevelDecoder(),
        (AddedToken("<|end|>", size), AddedToken("<tool>", size + 1, special=False)),
    )


def byte_level(pattern: str) -> PreTokenizer:
    return Sequence((Split(Pattern(pattern), "Isolated"), ByteLevel(False, use_regex=False)))


TEXT = st.text(st.sampled_from("the catsonmd',;ïé日本語' 12\n\ud800") | st.characters())


@given(TEXT | st.binary())
def test_ids_are_the_same(text: str | bytes) -> None:
    assert FAST.encode(text) == TRAINED.encode(text)


@given(st.lists(st.sampled_from(["a", "b", "aa", "ab", "ba", " ", "don't"]), max_size=30))
def test_ids_are_the_same_where_merges_overlap(parts: list[str]) -> None:
    assert FAST.encode("".join(parts)) == TRAINED.encode("".join(parts))


@pytest.mark.parametrize("pattern", [GPT2, CL100K, QWEN2, O200K])
def test_other_patterns_keep_normalizer_and_added_tokens(
    pattern: str, stories: list[str], nasty: str
) -> None:
    slow = composed(byte_level(pattern))
    fast = with_tiktoken(slow)
    for text in (stories[0], nasty, f"e\u0301 {nasty}<tool> <|end|>{nasty}"):
        assert fast.encode(text) == slow.encode(text)
        assert fast.encode_marked(text) == slow.encode_marked(text)
    assert fast.fingerprint == slow.fingerprint
    assert fast.encode("<tool>") == [slow.vocab_size - 1]


def test_a_token_that_no_merge_makes() -> None:
    """It is taken where whole pieces are, and by nothing else."""
    for ignore_merges, n_ids in ((False, 3), (True, 1)):
        slow = composed(ByteLevel(False), ignore_merges=ignore_merges, extra=("xyz",))
        fast = with_tiktoken(slow)
        assert len(fast.encode("xyz")) == len(slow.encode("xyz")) == n_ids
        assert fast.encode("wxyz xyz") == slow.encode("wxyz xyz")


@pytest.mark.parametrize("text", ["\n" * 600_000 + "x", "x" * 300_000, " x" * 300_000])
def test_long_texts(text: str) -> None:
    assert FAST.encode(text) == TRAINED.encode(text)


def test_a_run_of_spaces_that_would_end_tiktoken() -> None:
    (two_spaces,) = TRAINED.encode("  ")
    assert FAST.encode(" " * 1_100_000) == [two_spaces] * 550_000


def test_the_copy_is_a_tokenizer_of_the_same_kind(tmp_path: Path) -> None:
    save(FAST, tmp_path / "tokenizer.json")
    assert json.loads((tmp_path / "tokenizer.json").read_text("utf-8"))["model"]["merges"]
    sent = pickle.loads(pickle.dumps(FAST))
    assert sent.encode("the cat") == TRAINED.encode("the cat")


def test_what_cannot_be_expressed_is_refused() -> None:
    alphabet = [bytes([byte]) for byte in BYTE_ORDER]
    a, b, c = (7 + BYTE_ORDER.index(byte) for byte in b"abc")
    first, second = 7 + 256, 7 + 257
    disordered = BPETokenizer([*alphabet, b"ab", b"bc"], [(b, c), (a, b)])
    assert disordered.encode("abc") == [a, second]
    without_pair = BPETokenizer([*alphabet, b"ab", b"bc"], [(a, b)])
    assert without_pair.encode("bc") == [b, c]
    # ab + c are to be joined, but bc is joined before; then tiktoken would join a + bc.
    late = BPETokenizer([*alphabet, b"bc", b"ab", b"abc"], [(b, c), (a, b), (second, c)])
    assert late.encode("abc") == [a, first]

    characters = {character: i for i, character in enumerate(BYTE_TO_CHARACTER)}
    level = ByteLevel(False)
    for tokenizer, reason in [
        (disordered, "not in the order of the merges"),
        (without_pair, "no merge joins b'b' and b'c'"),
        (late, "no merge joins b'a' and b'bc'"),
        (composed(WhitespaceSplit()), "pre-tokenizer"),
        (composed(ByteLevel(True)), "pre-tokenizer"),
        (ComposedTokenizer(CharacterBPE({"a": 0}, []), None, level), "no token for the byte"),
        (
            ComposedTokenizer(CharacterBPE(characters, [], end_of_word_suffix="w"), None, level),
            "suffixes",
        ),
    ]:
        with pytest.raises(UserError, match=f"tiktoken cannot express .*{reason}"):
            with_tiktoken(tokenizer)


def test_without_tiktoken_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tiktoken", None)
    with pytest.raises(UserError, match=r"glassmind\[tiktoken\]"):
        with_tiktoken(TRAINED)


def test_real_vocabularies_run_on_tiktoken(data_folder: Path) -> None:
    folder = data_folder / "tokenizers" / "gpt2"
    vocab = json.loads((folder / "encoder.json").read_text("utf-8"))
    lines = (folder / "vocab.bpe").read_text("utf-8").split("\n")[1:-1]
    merges = [(left, right) for left, _, right in (line.partition(" ") for line in lines)]
    slow = ComposedTokenizer(CharacterBPE(vocab, merges), None, ByteLevel(False))
    text = (data_folder / "text" / "wikitext2_valid.txt").read_text("utf-8")[:300_000]
    assert with_tiktoken(slow).encode(text) == slow.encode(text)
