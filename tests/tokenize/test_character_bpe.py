"""BPE over characters against the ``tokenizers`` library, with every setting."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models

from glassmind.errors import UserError
from glassmind.tokenize.composed.character_bpe import CharacterBPE, canonical_merges

LETTERS = "abcde▁é"


def random_model(
    seed: int, prefix: str = "", suffix: str = ""
) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """A vocabulary and merges that fit together, with a pair or two listed twice."""
    rng = random.Random(seed)
    vocab = {"<unk>": 0, **{f"<0x{byte:02X}>": byte + 1 for byte in range(256)}}
    symbols = [p + c + s for c in LETTERS for p in {"", prefix} for s in {"", suffix}]
    for symbol in symbols:
        vocab.setdefault(symbol, len(vocab))
    merges = []
    for _ in range(60):
        left = rng.choice(symbols)
        right = rng.choice([s for s in symbols if s.startswith(prefix)])
        if suffix and left.endswith(suffix):
            continue
        merged = left + right[len(prefix) :]
        vocab.setdefault(merged, len(vocab))
        symbols.append(merged)
        merges.append((left, right))
    return vocab, [*merges, *merges[:2]]


def texts(seed: int) -> Iterator[str]:
    rng = random.Random(seed)
    for _ in range(400):
        yield "".join(rng.choices(LETTERS + "xß€😀", k=rng.randint(1, 70)))


SETTINGS = [
    {},
    {"unk_token": "<unk>"},
    {"unk_token": "<unk>", "fuse_unk": True},
    {"byte_fallback": True},
    {"byte_fallback": True, "unk_token": "<unk>", "fuse_unk": True},
    {"ignore_merges": True, "unk_token": "<unk>"},
    {"continuing_subword_prefix": "##", "unk_token": "<unk>"},
    {"end_of_word_suffix": "</w>", "unk_token": "<unk>", "fuse_unk": True},
    {"continuing_subword_prefix": "##", "end_of_word_suffix": "</w>", "unk_token": "<unk>"},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: ",".join(settings) or "plain")
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_ids_are_those_of_the_reference(settings: dict[str, object], seed: int) -> None:
    prefix = str(settings.get("continuing_subword_prefix", ""))
    suffix = str(settings.get("end_of_word_suffix", ""))
    vocab, merges = random_model(seed, prefix, suffix)
    theirs = Tokenizer(models.BPE(vocab, merges, **settings))  # type: ignore[arg-type]
    ours = CharacterBPE(
        vocab,
        merges,
        unk="<unk>" if "unk_token" in settings else None,
        fuse_unk=bool(settings.get("fuse_unk")),
        byte_fallback=bool(settings.get("byte_fallback")),
        ignore_merges=bool(settings.get("ignore_merges")),
        continuing_subword_prefix=prefix,
        end_of_word_suffix=suffix,
    )
    for text in [*texts(seed), *list(vocab)[257:]]:
        assert ours.encode_piece(text) == theirs.encode(text).ids, repr(text)


def test_a_byte_that_has_no_token_leaves_the_character_unknown() -> None:
    vocab = {"<unk>": 0, "a": 1, "<0xC3>": 2}
    ours = CharacterBPE(vocab, [], unk="<unk>", byte_fallback=True)
    theirs = Tokenizer(models.BPE(vocab, [], unk_token="<unk>", byte_fallback=True))
    for text in ("aéa", "éé", "é"):
        assert ours.encode_piece(text) == theirs.encode(text).ids


@pytest.mark.parametrize("seed", range(6))
def test_cutting_at_marks_changes_no_id(seed: int) -> None:
    vocab, merges = random_model(seed)
    model = CharacterBPE(vocab, merges, byte_fallback=True)
    cut = model.find_cuts()
    assert cut is not None
    for text in texts(seed):
        pieces = cut(text)
        assert "".join(pieces) == text
        together = [token_id for piece in pieces for token_id in model.encode_piece(piece)]
        assert together == model.encode_piece(text), repr(text)


def test_marks_inside_no_token_are_all_cut_at() -> None:
    model = CharacterBPE({"▁": 0, "a": 1, "b": 2, "▁a": 3, "▁▁": 4}, [("▁", "a"), ("▁", "▁")])
    cut = model.find_cuts()
    assert cut is not None
    assert cut("ab▁a▁▁▁b") == ["ab", "▁a", "▁▁▁b"]
    assert CharacterBPE({"a": 0}, []).find_cuts() is None


def test_whole_symbols_are_never_merged() -> None:
    vocab = {"a": 0, "b": 1, "ab": 2, "aab": 3}
    model = CharacterBPE(vocab, [("a", "b")], whole=frozenset(["aab"]))
    assert model.encode_piece("aaabab") == [0, 3, 2]


def join_by_worth(symbols: list[str], worth: dict[str, float]) -> list[str]:
    """SentencePiece's and tiktoken's rule, word for word."""
    while True:
        neighbours = enumerate(itertools.pairwise(symbols))
        pairs = [(-worth[a + b], at) for at, (a, b) in neighbours if a + b in worth]
        if not pairs:
            return symbols
        at = min(pairs)[1]
        symbols[at : at + 2] = [symbols[at] + symbols[at + 1]]


@given(
    st.lists(st.text("abc", min_size=2, max_size=5), min_size=1, max_size=25, unique=True),
    st.lists(st.text("abc", min_size=1, max_size=25), min_size=1, max_size=8),
)
def test_canonical_merges_do_what_the_rule_says(tokens: list[str], texts: list[str]) -> None:
    worth = {token: -float(rank) for rank, token in enumerate(["a", "b", "c", *tokens])}
    vocab = {token: token_id for token_id, token in enumerate(worth)}
    model = CharacterBPE(vocab, canonical_merges(worth, list))
    for text in texts:
        expected = [vocab[token] for token in join_by_worth(list(text), worth)]
        assert model.encode_piece(text) == expected


@pytest.mark.parametrize("lengths", [(2, 3, 4, 5, 6, 7, 8), (2, 4, 8), (2, 3, 5, 6)])
def test_runs_of_equal_worth_grow_from_the_left(lengths: tuple[int, ...]) -> None:
    worth = {"▁" * length: -1e9 for length in lengths} | {"▁t": -1.0}
    vocab = {token: token_id for token_id, token in enumerate([*worth, "▁", "t"])}
    model = CharacterBPE(vocab, canonical_merges(worth, list))
    for length in range(1, 40):
        text = "▁" * length + "t"
        expected = [vocab[token] for token in join_by_worth(list(text), worth)]
        assert model.encode_piece(text) == expected


def test_a_merge_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="merge 0 needs 'ab'"):
        CharacterBPE({"a": 0, "b": 1}, [("a", "b")])
    with pytest.raises(UserError, match="unknown token '<unk>'"):
        CharacterBPE({"a": 0}, [], unk="<unk>").encode_piece("b")


def test_absurdly_long_tokens_are_refused() -> None:
    with pytest.raises(ValueError, match="too long"):
        list(canonical_merges({"ab" * 4000: 1.0}, list))
