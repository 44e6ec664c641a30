from __future__ import annotations

import pickle

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from glassmind.tokenize import BPETokenizer
from glassmind.tokenize.bpe.byte_alphabet import BYTE_ORDER
from glassmind.tokenize.bpe.pieces import PieceEncoder
from glassmind.tokenize.bpe.presplit import blocks, is_word, presplit, rough_cut
from glassmind.tokenize.composed.patterns import COVERING

# What the patterns tell apart: letters of every case and script, marks, numbers, signs, and white
# space of which Python, Unicode and ASCII each have their own idea.
SAMPLE = (
    "abstTDllve'\u2019,.:-/_\"#09\u00e9\u00b2\u0663\u017f\u5b57\u00df\u01c5\u02b0\u0345\u0301\u212a"
    "\u200d\U0001f600 \u00a0\u2003\u3000\n\r\t\x0b\x1c\x1f\x85\x00\u180e"
)
TEXT = st.text(st.sampled_from(SAMPLE) | st.sampled_from("ab,' \n") | st.characters(codec="utf-8"))
SENTENCES = st.lists(
    st.sampled_from(
        ["the", " cat", " the", "'s", "'LL", ",", ".", "\n", "\r\n", "  ", " ", "12", "é", " 'tis"]
    )
).map("".join)


@given(TEXT | SENTENCES)
@pytest.mark.parametrize("pattern", sorted(COVERING))
def test_rough_cuts_are_cuts_of_every_pattern(pattern: str, text: str) -> None:
    find = regex.compile(pattern).findall
    rough = rough_cut(text)
    assert "".join(rough) == text
    pieces = find(text)
    assert [piece for part in rough for piece in find(part)] == pieces
    assert [find(piece) for piece in pieces] == [[piece] for piece in pieces]


def test_rough_cuts_of_real_text_are_cuts_of_every_pattern(nasty: str) -> None:
    for pattern in COVERING:
        find = regex.compile(pattern).findall
        assert [piece for part in rough_cut(nasty) for piece in find(part)] == find(nasty)


@pytest.mark.parametrize("pattern", sorted(COVERING))
def test_words_are_pieces_of_every_pattern(pattern: str) -> None:
    find = regex.compile(pattern).findall
    for word in ("a", "abc", "Abc", " a", " Abc", "ll", " re"):
        assert is_word(word)
        assert find(word) == [word]
    for other in ("", " ", "aB", "AB", "  a", "a ", "a\n", "'s", "it's", "é", "ſ", "1"):
        assert not is_word(other)


@given(TEXT | SENTENCES)
def test_blocks_are_cut_where_pieces_are(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("glassmind.tokenize.bpe.presplit._BLOCK", 3)
        parts = list(blocks(text))
    assert "".join(parts) == text
    assert [piece for part in parts for piece in presplit(part)] == presplit(text)


@given(st.lists(TEXT | SENTENCES))
def test_the_fast_road_is_the_plain_one(texts: list[str]) -> None:
    def encode_piece(piece: str) -> list[int]:
        return [len(piece), *piece.encode()]

    fast = PieceEncoder(presplit, encode_piece, cuts_are_certain=True)
    slow = PieceEncoder(presplit, encode_piece)
    for text in texts * 2:  # the second time from memory
        plain = [token_id for piece in presplit(text) for token_id in encode_piece(piece)]
        assert fast.encode(text) == plain
        assert slow.encode(text) == plain


@pytest.mark.parametrize("text", ["x" * 300_000, " " * 300_000, "\n" * 300_000, "1\n" * 150_000])
def test_long_texts_without_a_certain_cut(text: str) -> None:
    assert rough_cut(text) == [text]
    assert rough_cut("a " + text)[0] == "a"


def test_memory_stays_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("glassmind.tokenize.bpe.pieces._MAX_REMEMBERED", 10)
    tokenizer = BPETokenizer([bytes([byte]) for byte in BYTE_ORDER], [])
    words = [f"word{chr(97 + i)}" for i in range(26)]
    assert [tokenizer.decode(ids) for ids in tokenizer.encode_batch(words)] == words
    pieces = tokenizer._pieces
    assert 0 < len(pieces._memory) <= 10
    for long in ("x" * 49, "é" * 9):  # many characters, many ids
        tokenizer.encode(long)
        assert long not in pieces._memory


def test_a_tokenizer_can_be_sent_to_another_process(bpe: BPETokenizer) -> None:
    bpe.encode("pencils")
    sent = pickle.loads(pickle.dumps(bpe))
    assert not sent._pieces._memory
    assert sent.encode("Mia has 12 pencils") == bpe.encode("Mia has 12 pencils")
