"""The packed table of replacements, against both of its other readers."""

from __future__ import annotations

import io
import struct

import pytest
import sentencepiece
from hypothesis import given
from hypothesis import strategies as st
from nasty_strings import nasty_strings
from tokenizers import normalizers as reference

from glassmind.interop.tokenizers.protobuf import read_fields
from glassmind.tokenize.composed.charsmap import CharsMap, Precompiled, SentencePieceNormalizer

SENTENCES = ["the cat sat on the mat", "a dog and a cat", "ﬁne ＡＢＣ ½"] * 20


def train(rule: str) -> bytes:
    """A SentencePiece model of a few dozen pieces with the normalization ``rule``."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES),
        model_writer=model,
        vocab_size=40,
        model_type="unigram",
        hard_vocab_limit=False,
        normalization_rule_name=rule,
        minloglevel=2,
    )
    return model.getvalue()


def table_of(model: bytes) -> CharsMap:
    normalizer = next(value for number, value in read_fields(model) if number == 3)
    assert isinstance(normalizer, bytes)
    blob = next(value for number, value in read_fields(normalizer) if number == 2)
    assert isinstance(blob, bytes)
    return CharsMap(blob)


@pytest.fixture(scope="module", params=["nmt_nfkc", "nfkc_cf"])
def model(request: pytest.FixtureRequest) -> bytes:
    return train(request.param)


def test_sentencepiece_reads_the_same_out_of_the_table(model: bytes) -> None:
    theirs = sentencepiece.SentencePieceProcessor(model_proto=model)
    ours = SentencePieceNormalizer(table_of(model), True, True)
    for text in nasty_strings(6, 1500, unassigned=True):
        assert ours.normalize(text) == theirs.normalize(text), repr(text)


def test_the_tokenizers_library_reads_the_same_out_of_the_table(model: bytes) -> None:
    table = table_of(model)
    ours, theirs = Precompiled(table), reference.Precompiled(table.blob)
    for text in nasty_strings(7, 1500):
        assert ours.normalize(text) == theirs.normalize_str(text), repr(text)


def test_what_is_kept_is_not_normalized() -> None:
    ours = SentencePieceNormalizer(table_of(train("nmt_nfkc")), False, False, ("½", "½½x"))
    assert ours.normalize("½½x½ ﬁ") == "½½x½▁fi"


def test_without_a_table_only_spaces_change() -> None:
    assert SentencePieceNormalizer(None, True, True).normalize("  a   b ") == "▁a▁b"
    assert SentencePieceNormalizer(None, True, False).normalize("  a ") == "▁▁▁a▁"
    assert SentencePieceNormalizer(None, True, True).normalize("   ") == ""
    assert SentencePieceNormalizer(None, True, True).normalize("") == ""


@given(st.binary(max_size=200), st.integers(0, 50), st.text(max_size=20))
def test_any_bytes_make_a_table_or_a_value_error(body: bytes, units: int, text: str) -> None:
    try:
        table = CharsMap(struct.pack("<I", units * 4) + body)
    except ValueError:
        return
    assert isinstance(Precompiled(table).normalize(text), str)
    assert isinstance(SentencePieceNormalizer(table, True, True).normalize(text), str)
