"""Pre-tokenizers against the ``tokenizers`` library."""

from __future__ import annotations

import re
from typing import Any

import pytest
from nasty_strings import nasty_strings
from tokenizers import Regex
from tokenizers import pre_tokenizers as reference

from glassmind.tokenize.bpe.byte_alphabet import spell
from glassmind.tokenize.bpe.presplit import PATTERN
from glassmind.tokenize.composed import pretokenize
from glassmind.tokenize.composed.patterns import CL100K, GPT2, O200K, QWEN2, TEKKEN, Pattern
from glassmind.tokenize.composed.pretokenize import PreTokenizer

BEHAVIORS = {
    "Removed": "removed",
    "Isolated": "isolated",
    "MergedWithPrevious": "merged_with_previous",
    "MergedWithNext": "merged_with_next",
    "Contiguous": "contiguous",
}
CASES: dict[str, tuple[PreTokenizer, Any]] = {
    "bytes": (pretokenize.ByteLevel(False), reference.ByteLevel(add_prefix_space=False)),
    "bytes, space": (pretokenize.ByteLevel(True), reference.ByteLevel(add_prefix_space=True)),
    "bytes, no pattern": (
        pretokenize.ByteLevel(True, False),
        reference.ByteLevel(add_prefix_space=True, use_regex=False),
    ),
    "digits": (pretokenize.Digits(), reference.Digits()),
    "single digits": (pretokenize.Digits(True), reference.Digits(individual_digits=True)),
    "whitespace": (pretokenize.Whitespace(), reference.Whitespace()),
    "whitespace split": (pretokenize.WhitespaceSplit(), reference.WhitespaceSplit()),
    "bert": (pretokenize.BertPreTokenizer(), reference.BertPreTokenizer()),
    "sequence": (
        pretokenize.Sequence((pretokenize.Digits(True), pretokenize.ByteLevel(False))),
        reference.Sequence(
            [reference.Digits(individual_digits=True), reference.ByteLevel(add_prefix_space=False)]
        ),
    ),
    "bytes, then more": (
        pretokenize.Sequence((pretokenize.ByteLevel(True), pretokenize.Punctuation())),
        reference.Sequence([reference.ByteLevel(add_prefix_space=True), reference.Punctuation()]),
    ),
    **{
        f"metaspace {scheme} {split}": (
            pretokenize.Metaspace("▁", scheme, split),  # type: ignore[arg-type]
            reference.Metaspace(prepend_scheme=scheme, split=split),
        )
        for scheme in ("always", "first", "never")
        for split in (True, False)
    },
    "words, then metaspace first": (
        pretokenize.Sequence((pretokenize.Digits(), pretokenize.Metaspace("▁", "first"))),
        reference.Sequence([reference.Digits(), reference.Metaspace(prepend_scheme="first")]),
    ),
    **{
        f"punctuation {ours}": (pretokenize.Punctuation(ours), reference.Punctuation(theirs))  # type: ignore[arg-type]
        for ours, theirs in BEHAVIORS.items()
    },
    **{
        f"split {pattern!r} {ours} {invert}": (
            pretokenize.Split(Pattern(pattern, is_regex), ours, invert),  # type: ignore[arg-type]
            reference.Split(Regex(pattern) if is_regex else pattern, theirs, invert=invert),
        )
        for ours, theirs in BEHAVIORS.items()
        for invert in (False, True)
        for pattern, is_regex in ((r"\s+|a", True), ("aa", False), (r"x*", True))
    },
    **{
        f"pattern {number}": (
            pretokenize.Split(Pattern(pattern), "Isolated"),
            reference.Split(Regex(pattern), "isolated"),
        )
        for number, pattern in enumerate([PATTERN, GPT2, CL100K, QWEN2, O200K, TEKKEN])
    },
}


# Which code points are punctuation the library knows from an older Unicode; here it has changed
# little since.
LONG_SETTLED = re.compile(r"[\x00-\u05ff\u2000-\u206f\u3000-\u30ff]*")


@pytest.mark.parametrize("name", CASES)
def test_pieces_are_those_of_the_reference(name: str) -> None:
    ours, theirs = CASES[name]
    for text in nasty_strings(2, 300):
        if ("bert" in name or "punctuation" in name) and not LONG_SETTLED.fullmatch(text):
            continue
        pieces = ours.split([text], first=True)
        if ours.spells:
            pieces = [spell(piece.encode("utf-8")) for piece in pieces]
        assert pieces == [piece for piece, _ in theirs.pre_tokenize_str(text)], repr(text)


@pytest.mark.parametrize("name", CASES)
def test_several_pieces_are_cut_one_by_one(name: str) -> None:
    ours, _ = CASES[name]
    texts = [text for text in nasty_strings(3, 20) if text]
    together = ours.split(texts, first=True)
    apart = [piece for at, text in enumerate(texts) for piece in ours.split([text], first=at == 0)]
    assert together == apart


def test_only_metaspace_first_minds_what_comes_first() -> None:
    minding = {name for name, (ours, _) in CASES.items() if pretokenize.minds_first(ours)}
    assert minding == {name for name in CASES if "metaspace first" in name}


def test_a_known_pattern_is_recognized() -> None:
    bytes_only = pretokenize.ByteLevel(False, False)
    split = pretokenize.Split(Pattern(QWEN2), "Isolated")
    assert pretokenize.known_pattern(pretokenize.Sequence((split, bytes_only))) == QWEN2
    assert pretokenize.known_pattern(pretokenize.ByteLevel(False)) == GPT2
    assert pretokenize.known_pattern(pretokenize.ByteLevel(True)) is None
    assert pretokenize.known_pattern(split) is None
