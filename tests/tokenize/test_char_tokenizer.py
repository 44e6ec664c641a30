from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glassmind.tokenize import SPECIAL_TOKENS, CharTokenizer, train_char

TOKENIZER = train_char(["naïve café", "日本語 \ud800 abc"])


def test_vocabulary_is_special_tokens_bytes_and_characters_in_order() -> None:
    assert TOKENIZER.characters == ("é", "ï", "日", "本", "語")
    assert TOKENIZER.vocab_size == 7 + 256 + 5
    assert [TOKENIZER.token_text(i) for i in range(7)] == list(SPECIAL_TOKENS)
    assert TOKENIZER.token_bytes(7 + 65) == b"A"
    assert TOKENIZER.token_bytes(263) == "é".encode()
    assert all(TOKENIZER.token_bytes(i) == b"" for i in range(7))


def test_one_token_per_known_character_bytes_for_the_rest() -> None:
    assert TOKENIZER.encode("café") == [7 + 99, 7 + 97, 7 + 102, 263]
    assert TOKENIZER.encode("ñ") == [7 + 0xC3, 7 + 0xB1]
    assert TOKENIZER.decode(TOKENIZER.encode("ñ")) == "ñ"


@given(st.binary())
def test_every_byte_string_round_trips(data: bytes) -> None:
    ids = TOKENIZER.encode(data)
    assert TOKENIZER.decode_bytes(ids) == data
    assert all(token_id >= 7 for token_id in ids)


@given(st.text())
def test_every_string_round_trips_and_equals_its_bytes(text: str) -> None:
    assert TOKENIZER.decode(TOKENIZER.encode(text)) == text
    assert TOKENIZER.encode(text) == TOKENIZER.encode(text.encode())


def test_lone_surrogates_become_bytes() -> None:
    assert TOKENIZER.decode_bytes(TOKENIZER.encode("a\ud800b")) == b"a\xed\xa0\x80b"


@pytest.mark.parametrize("characters", [["a"], ["é", "é"], ["日本"], ["\udc80"], [""]])
def test_bad_vocabularies_are_refused(characters: list[str]) -> None:
    with pytest.raises(ValueError):
        CharTokenizer(characters)


@pytest.mark.parametrize("bad", [-1, 268, 10**9])
def test_ids_outside_the_vocabulary_are_refused(bad: int) -> None:
    with pytest.raises(ValueError, match="between 0 and 267"):
        TOKENIZER.decode([8, bad])


def test_display_text_is_never_empty_or_unprintable() -> None:
    shown = [TOKENIZER.token_text(i) for i in range(TOKENIZER.vocab_size)]
    assert all(text and text.isprintable() for text in shown)
    assert TOKENIZER.token_text(7 + 10) == "\\n"
    assert TOKENIZER.token_text(7 + 0xE2) == "<0xE2>"
