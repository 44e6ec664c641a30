from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from glassmind.tokenize import BPETokenizer, CharTokenizer
from glassmind.tokenize.bpe.merge_path import explain, merge_path
from glassmind.tokenize.bpe.merging import MergeTable
from glassmind.tokenize.bpe.presplit import presplit
from glassmind.tokenize.composed.character_bpe import CharacterBPE
from glassmind.tokenize.composed.pretokenize import WhitespaceSplit
from glassmind.tokenize.composed.tokenizer import ComposedTokenizer
from glassmind.tokenize.composed.unigram import Unigram
from glassmind.tokenize.composed.wordpiece import WordPiece


@given(st.data())
def test_a_path_ends_where_merging_ends(data: st.DataObject) -> None:
    pair = st.tuples(st.integers(0, 5), st.integers(0, 5))
    pairs = data.draw(st.lists(pair, unique=True, max_size=12))
    table = MergeTable([(a, b, 6 + i % 3) for i, (a, b) in enumerate(pairs)], 9)
    ids = data.draw(st.lists(st.integers(0, 5), max_size=20))
    steps = merge_path(table, ids)
    row = ids
    for rank, at, after in steps:  # each step is the earliest-learned merge, leftmost
        ranks = [pairs.index(p) for p in itertools.pairwise(row) if p in pairs]
        assert rank == min(ranks)
        left, right = pairs[rank]
        assert (row[at], row[at + 1]) == (left, right)
        assert (left, right) not in itertools.pairwise(row[: at + 1])
        row = [*row[:at], 6 + rank % 3, *row[at + 2 :]]
        assert list(after) == row
    assert row == table.merge(list(ids))


def test_our_own_tokenizers(bpe: BPETokenizer) -> None:
    text = "Mia has 12 pencils, Zoé has 12. " + "x" * 65
    paths = list(explain(bpe, text))
    pieces = list(dict.fromkeys(presplit(text)))
    assert len(paths) == len(pieces)
    for piece, path in zip(pieces, paths, strict=True):
        if len(piece) > 64:
            assert path.too_long
            continue
        assert len(path.start) == len(piece.encode())
        last = path.steps[-1].parts if path.steps else path.start
        assert last == tuple(map(bpe.token_text, bpe.encode(piece)))
    assert list(explain(CharTokenizer(), "Mia")) == []


def composed(model: CharacterBPE | Unigram | WordPiece) -> ComposedTokenizer:
    return ComposedTokenizer(model, pre_tokenizer=WhitespaceSplit())


def test_wordpiece_shows_its_matches() -> None:
    words = ["[UNK]", "un", "##aff", "##able", "able"]
    tokenizer = composed(WordPiece({word: i for i, word in enumerate(words)}))
    long, known, unknown = explain(tokenizer, "unaffable able unx")
    assert [step.parts for step in long.steps] == [
        ("un", "affable"),
        ("un", "##aff", "able"),
        ("un", "##aff", "##able"),
    ]
    assert [step.new for step in long.steps] == [0, 1, 2]
    assert (known.start, known.steps) == (("able",), ())
    assert [step.parts for step in unknown.steps] == [("[UNK]",)]


def test_unigram_shows_probabilities() -> None:
    scored = [("<unk>", 0.0), ("ab", -1.5), ("a", -2.0), ("b", -2.0), ("c", -3.0)]
    (path,) = explain(composed(Unigram(scored, 0)), "abc\x1b")
    assert [step.parts for step in path.steps] == [
        ("ab", "c\\x1b"),
        ("ab", "c", "\\x1b"),
        ("ab", "c", "\\x1b"),
    ]
    assert [step.note for step in path.steps] == [
        "log p -1.50",
        "log p -3.00",
        "unknown -13.00, sum -17.50",
    ]


def test_unigram_shows_spaces_and_bytes() -> None:
    scored = [("<unk>", 0.0), ("▁a", -1.5), *((f"<0x{byte:02X}>", -9.0) for byte in range(256))]
    (path,) = explain(composed(Unigram(scored, 0, byte_fallback=True)), "▁aé")
    assert path.start == (" aé",)
    assert [step.parts for step in path.steps] == [(" a", "é"), (" a", "é")]
    assert path.steps[1].note.startswith("as bytes ")


def test_a_piece_that_is_a_token_whatever_its_merges_say() -> None:
    vocab = {token: i for i, token in enumerate(["a", "b", "c", "ab", "abc"])}
    merging = CharacterBPE(vocab, [("a", "b")], ignore_merges=True)
    (path,) = explain(composed(merging), "abc")
    assert [(step.parts, step.note) for step in path.steps] == [
        (("ab", "c"), "merge 0"),
        (("abc",), "a token as a whole"),
    ]
