"""Unigram's best path against trying everything, and against the ``tokenizers`` library."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nasty_strings import nasty_strings
from tokenizers import Tokenizer, models

from glassmind.errors import UserError
from glassmind.tokenize.composed.unigram import Unigram

SCORED = [
    *(("<unk>", 0.0), ("a", -2.0), ("b", -2.5), ("c", -3.0), ("ab", -3.5), ("abc", -4.25)),
    *(("bc", -5.0), ("▁", -1.0), ("▁a", -2.75), ("é", -6.0), ("aa", -4.0)),
]
BYTES = [(f"<0x{byte:02X}>", -9.0) for byte in range(256)]


def all_cuts(text: str, score: dict[str, float], unknown: float) -> list[float]:
    """The score of every way to cut ``text``."""
    if not text:
        return [0.0]
    found = []
    for end in range(1, len(text) + 1):
        piece = text[:end]
        if piece in score or (end == 1 and text[0] not in score):
            price = score.get(piece, unknown)
            found += [price + rest for rest in all_cuts(text[end:], score, unknown)]
    return found


@given(st.text(alphabet="abcé▁x", max_size=9))
def test_no_way_to_cut_is_better(text: str) -> None:
    unigram = Unigram(SCORED, 0)
    best = max(all_cuts(text, dict(SCORED), -16.0))
    path = unigram.best_path(text)
    assert "".join(part.text for part in path) == text
    assert math.isclose(sum(part.score for part in path), best, abs_tol=1e-9)


@pytest.mark.parametrize("byte_fallback", [False, True])
def test_ids_are_those_of_the_reference(byte_fallback: bool) -> None:
    scored = SCORED + (BYTES if byte_fallback else [])
    ours = Unigram(scored, 0, byte_fallback=byte_fallback)
    theirs = Tokenizer(models.Unigram(scored, 0, byte_fallback))
    texts = ["abcabc", "aaaaab▁a", "xyz", "xaéxx", "<unk>", "<0x41>", *nasty_strings(8, 1000)]
    for text in texts:
        if text:
            assert ours.encode_piece(text) == theirs.encode(text).ids, repr(text)


def test_a_run_of_unknown_characters_is_one_token() -> None:
    assert Unigram(SCORED, 0).encode_piece("axyzb") == [1, 0, 2]


def test_some_tokens_are_never_used_and_some_are_favoured() -> None:
    scored = [("<unk>", 0.0), ("a", -1.0), ("b", -1.0), ("ab", -0.5), ("ba", -20.0)]
    assert Unigram(scored, 0).encode_piece("bab") == [2, 3]
    assert Unigram(scored, 0, never=frozenset([0, 3])).encode_piece("ab") == [1, 2]
    assert Unigram(scored, 0).encode_piece("ba") == [2, 1]
    assert Unigram(scored, 0, favoured=frozenset([4])).encode_piece("ba") == [4]


def test_without_an_unknown_token_unknown_text_is_an_error() -> None:
    with pytest.raises(UserError, match="no token for 'x'"):
        Unigram(SCORED, None).encode_piece("ax")
    with pytest.raises(ValueError, match="unknown"):
        Unigram(SCORED, 99)
    with pytest.raises(ValueError, match="needs tokens"):
        Unigram([], None)


def test_a_long_piece_without_a_space_is_cut_like_a_short_one() -> None:
    unigram = Unigram(SCORED, 0)
    assert unigram.encode_piece("abc" * 20_000) == [5] * 20_000
