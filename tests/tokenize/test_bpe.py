from __future__ import annotations

import itertools
import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glassmind.tokenize import SPECIAL_TOKENS, BPETokenizer, train_bpe
from glassmind.tokenize.bpe.byte_alphabet import BYTE_ORDER, spell, unspell
from glassmind.tokenize.bpe.presplit import presplit

TOKENIZER = train_bpe(
    ["the cat sat on the mat, then the other cat; naïve café 日本語 日本 aaaa aa"], 310
)


def plain_encode(tokenizer: BPETokenizer, piece: bytes) -> list[int]:
    """The definition read out loud: earliest-learned merge first, leftmost first."""
    parts = [bytes([byte]) for byte in piece]
    order = [
        (tokenizer.token_bytes(left), tokenizer.token_bytes(right))
        for left, right in tokenizer.merges
    ]
    while True:
        neighbours = list(itertools.pairwise(parts))
        possible = [pair for pair in order if pair in neighbours]
        if not possible:
            break
        at = neighbours.index(possible[0])
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    ids = {tokenizer.token_bytes(i): i for i in range(7, tokenizer.vocab_size)}
    return [ids[part] for part in parts]


@given(st.binary())
def test_every_byte_string_round_trips(data: bytes) -> None:
    ids = TOKENIZER.encode(data)
    assert TOKENIZER.decode_bytes(ids) == data
    assert all(7 <= token_id < TOKENIZER.vocab_size for token_id in ids)


@given(st.text(st.sampled_from("the catsonm,;ïé日本語' 12\n")))
def test_every_string_round_trips_and_equals_its_bytes(text: str) -> None:
    ids = TOKENIZER.encode(text)
    assert TOKENIZER.decode(ids) == text
    assert TOKENIZER.encode(text.encode()) == ids


@given(st.text(st.sampled_from("the catsonm")))
def test_encoding_is_the_plain_definition(text: str) -> None:
    piece = text.encode()
    assert TOKENIZER.encode_piece(piece) == plain_encode(TOKENIZER, piece)


@pytest.mark.parametrize("seed", range(5))
def test_heap_and_scan_agree(bpe: BPETokenizer, seed: int) -> None:
    rng = random.Random(seed)
    piece = bytes(rng.choices(b"theacookiesmarblpn 1aaa\xc3\xa9", k=400))
    ids = [bpe._byte_ids[byte] for byte in piece]
    assert bpe.merge_table._merge_by_heap(list(ids)) == bpe.merge_table._merge_by_scan(list(ids))


@pytest.mark.parametrize("text", ["a" * 1_000_000, "the" * 70_000, " " * 200_000])
def test_a_long_text_without_a_word_break_takes_seconds_at_most(
    bpe: BPETokenizer, text: str
) -> None:
    start = time.perf_counter()
    ids = bpe.encode(text)
    assert time.perf_counter() - start < 15  # about 0.5 s; quadratic would be hours
    assert bpe.decode(ids) == text


def test_invalid_utf8_keeps_its_neighbours_whole(bpe: BPETokenizer) -> None:
    text = " marbles"
    bad = bpe.encode(b"\xff")
    assert len(bad) == 1
    assert bpe.encode(text.encode() + b"\xff" + text.encode()) == [
        *bpe.encode(text),
        *bad,
        *bpe.encode(text),
    ]


def test_lone_surrogates_become_bytes(bpe: BPETokenizer) -> None:
    assert bpe.decode_bytes(bpe.encode("a\ud800b\udcff")) == b"a\xed\xa0\x80b\xed\xb3\xbf"


@pytest.mark.parametrize("name", SPECIAL_TOKENS)
def test_user_text_never_becomes_a_special_token(bpe: BPETokenizer, name: str) -> None:
    ids = bpe.encode(f"x{name}y")
    assert min(ids) >= 7
    assert bpe.decode(ids) == f"x{name}y"


def test_special_tokens_stand_for_no_text(bpe: BPETokenizer) -> None:
    assert dict(bpe.special) == {name: i for i, name in enumerate(SPECIAL_TOKENS)}
    assert bpe.decode([1, *bpe.encode("hi"), 6]) == "hi"
    assert bpe.token_text(3) == "<|step|>"


def test_bad_vocabularies_are_refused() -> None:
    alphabet = [bytes([byte]) for byte in BYTE_ORDER]
    h, i = 7 + BYTE_ORDER.index(b"h"[0]), 7 + BYTE_ORDER.index(b"i"[0])
    assert BPETokenizer([*alphabet, b"hi"], [(h, i)]).encode("hi") == [263]
    for tokens, merges, message in [
        (alphabet[1:], [], "lacks the byte"),
        ([*alphabet, b"!"], [], "distinct"),
        ([*alphabet, b""], [], "not empty"),
        ([*alphabet, b"hi"], [(h, 264)], "outside"),
        ([*alphabet, b"hi"], [(h, -1)], "outside"),
        ([*alphabet, b"hi"], [(h, 0)], "special"),
        ([*alphabet, b"hi"], [(i, h)], "not in the vocabulary"),
        ([*alphabet, b"hi"], [(h, i), (h, i)], "twice"),
    ]:
        with pytest.raises(ValueError, match=message):
            BPETokenizer(tokens, merges)


def test_presplit_cuts_words_single_digits_and_signs() -> None:
    assert presplit("Mia's 12 pencils: 3*12=36") == [
        *["Mia", "'s", " ", "1", "2", " pencils", ":", " ", "3", "*", "1", "2", "=", "3", "6"]
    ]
    assert presplit("a   b\n\n c") == ["a", "  ", " b", "\n\n", " c"]


def test_presplit_loses_nothing(nasty: str) -> None:
    assert "".join(presplit(nasty)) == nasty


def test_byte_spelling() -> None:
    assert spell(b" cat\n") == "ĠcatĊ"
    assert unspell(spell(bytes(range(256)))) == bytes(range(256))
    assert len(set(map(spell, (bytes([b]) for b in range(256))))) == 256
