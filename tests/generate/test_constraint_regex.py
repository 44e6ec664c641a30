"""Regular expressions: the machine against ``re``, the masks against partial matches."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from random import Random

import pytest
import regex
from constrained_walk import text_of, walk
from hypothesis import given, settings
from hypothesis import strategies as st

from glassmind.errors import UserError
from glassmind.generate.constraint.constraint import RegexConstraint
from glassmind.generate.constraint.grammar.automaton import automaton
from glassmind.generate.constraint.grammar.character_sets import (
    Paths,
    complement,
    union,
    utf8_paths,
)
from glassmind.generate.constraint.grammar.regex_parser import parse_regex
from glassmind.generate.constraint.vocabulary import Vocabulary
from glassmind.interop.tokenizers import load_tokenizer
from glassmind.tokenize import CharTokenizer, train_bpe
from glassmind.tokenize.composed.decoders import WordPiece as WordPieceDecoder
from glassmind.tokenize.composed.tokenizer import ComposedTokenizer
from glassmind.tokenize.composed.wordpiece import WordPiece

PATTERNS = [
    "",
    "abc",
    "a|bc|",
    "(yes|no), because [^\n]{1,20}",
    "^a+$|^b*$",
    r"-?(0|[1-9][0-9]*)(\.[0-9]+)?",
    r"(?:ab){2,3}c{0,2}?d{2,}",
    r"(?P<year>\d{4})-(?<month>0\d|1[0-2])",
    r"[]\-a]{2}".replace("[]", r"[\]"),
    r"[a-cx-z_-]+[^a-y]*?",
    r"\x41\u00e9[é-ü]?\U0001f600",
    r"[^\W\d]+\s\S*",
    r"\D\W.",
    r"\{\"a\": {x}\}",
    "(a*)*b",
    "((|a)|b+)+",
    r".*\..*",
]

TEXT = "".join(chr(n) for n in range(32, 127)) * 3 + "the yes no, because ab abab 2024-12 éüß 😀 "


@pytest.fixture(scope="module")
def bpe() -> Vocabulary:
    return Vocabulary.of(train_bpe([TEXT * 4], 400))


@pytest.fixture(scope="module")
def char() -> Vocabulary:
    return Vocabulary.of(CharTokenizer("éüß😀"), size=300)


_machine = cache(lambda pattern: automaton(parse_regex(pattern)))
_constraint = cache(RegexConstraint)

ALPHABET = "".join(map(chr, range(32, 127))) + "éü😀\n"


@pytest.mark.parametrize("pattern", PATTERNS, ids=range(len(PATTERNS)))
@given(data=st.data())
@settings(max_examples=25)
def test_the_machine_accepts_what_re_matches(pattern: str, data: st.DataObject) -> None:
    machine = _machine(pattern)
    python = pattern.replace("(?<month>", "(?P<month>")
    matching = st.from_regex(python, fullmatch=True, alphabet=st.sampled_from(ALPHABET))
    text = data.draw(st.one_of(st.text(ALPHABET, max_size=12), matching))
    accepted, matches = machine.accepts(text.encode()), re.fullmatch(python, text) is not None
    # To ECMAScript, é is not a word character: it is allowed neither as one nor as none.
    assert accepted == matches or (matches and not text.isascii() and "\\W" in pattern)


def patterns() -> st.SearchStrategy[str]:
    """Patterns over a, b and c in which everything may stand in everything."""
    atoms = st.sampled_from(["a", "b", "c", "[ab]", "[^a]", ".", "", r"\w"])
    counts = st.sampled_from(["*", "+", "?", "{2}", "{0,2}", "{1,}", "*?"])
    return st.recursive(
        atoms,
        lambda inner: st.one_of(
            st.tuples(inner, inner).map("".join),
            st.tuples(inner, inner).map(lambda two: f"({two[0]}|{two[1]})"),
            st.tuples(inner, counts).map(lambda two: f"(?:{two[0]}){two[1]}"),
        ),
        max_leaves=8,
    )


@given(patterns(), st.lists(st.text("abc", max_size=8), min_size=5))
def test_random_patterns_match_what_re_matches(pattern: str, texts: list[str]) -> None:
    machine = automaton(parse_regex(pattern))
    for text in texts:
        assert machine.accepts(text.encode()) == (re.fullmatch(pattern, text) is not None)


@given(patterns(), st.text("abc", max_size=4))
@settings(max_examples=40)
def test_masks_are_what_can_still_be_completed(pattern: str, begun: str) -> None:
    tokens = [b"a", b"b", b"c", b"ab", b"bc", b"cab", b"aaaa", b"abcabcab", None, b"", b"a"]
    vocabulary = Vocabulary(tokens, end_ids=[8])
    constraint = RegexConstraint(pattern, vocabulary)
    state = constraint.automaton.run(constraint.automaton.start, begun.encode())
    if regex.fullmatch(pattern, begun, partial=True) is None:
        assert state == 0
        return
    mask = constraint.mask(state)
    assert constraint.mask(state) is mask
    for token_id, data in enumerate(tokens):
        if token_id == 8:
            expected = regex.fullmatch(pattern, begun) is not None
        else:
            text = begun + (data or b"").decode()
            expected = bool(data) and regex.fullmatch(pattern, text, partial=True) is not None
        assert bool(mask[token_id]) == expected, (token_id, data)


@pytest.mark.parametrize("name", ["bpe", "char"])
@given(pattern=st.sampled_from(PATTERNS), random=st.randoms(use_true_random=False))
@settings(max_examples=40)
def test_whatever_is_written_matches(
    name: str, pattern: str, random: Random, bpe: Vocabulary, char: Vocabulary
) -> None:
    constraint = _constraint(pattern, {"bpe": bpe, "char": char}[name])
    text = text_of(constraint, walk(constraint, random)).decode("utf-8")
    assert re.fullmatch(pattern.replace("(?<month>", "(?P<month>"), text), (pattern, text)


@pytest.mark.parametrize("name", ["gpt2", "llama2"])
def test_published_vocabularies(name: str, data_folder: Path) -> None:
    if not (data_folder / "tokenizers" / name).is_dir():
        pytest.skip(f"no tokenizer {name} in the data folder")
    tokenizer = load_tokenizer(data_folder / "tokenizers" / name)
    assert isinstance(tokenizer, ComposedTokenizer)
    vocabulary = Vocabulary.of(tokenizer, end_ids={"gpt2": [50256], "llama2": [2]}.get(name))
    random = Random(7)
    for pattern in (r" ?[^\x00]{1,40}", PATTERNS[3], r"\d{3}|😀+ ünd", r" *x"):
        constraint = RegexConstraint(pattern, vocabulary)
        for _ in range(4):
            ids = walk(constraint, random)
            data = tokenizer.decode_bytes(ids)
            assert data == text_of(constraint, ids)
            assert re.fullmatch(pattern, data.decode("utf-8")), (pattern, data)


@given(
    pattern=st.sampled_from([" a", " ?b", "  c", " *", "a| {2}b"]),
    random=st.randoms(use_true_random=False),
)
@settings(max_examples=40)
def test_a_space_that_decoding_takes_away(pattern: str, random: Random) -> None:
    tokens = [None, b" ", b"  ", b" a", b"a", b"b", b" b", b"c", b"   c"]
    for lead in (b" ", b"  "):
        constraint = RegexConstraint(pattern, Vocabulary(tokens, [0], lead))
        text = text_of(constraint, walk(constraint, random)).decode()
        assert re.fullmatch(pattern, text), text


def wordpiece(words: list[str]) -> ComposedTokenizer:
    vocab = {word: number for number, word in enumerate(["[UNK]", *words])}
    return ComposedTokenizer(WordPiece(vocab), decoder=WordPieceDecoder(cleanup=False))


def test_a_vocabulary_without_all_bytes_is_kept_from_dead_ends() -> None:
    vocabulary = Vocabulary.of(wordpiece(["cat", "##s", "dog", "ca", "do", "##x"]), end_ids=[0])
    constraint = RegexConstraint("(cats?|doors|dog dog)( cat)*", vocabulary)
    first = constraint.mask(constraint.automaton.start).nonzero()[:, 0].tolist()
    assert first == [1, 3], "neither ca(t) nor do(ors) can be completed with these tokens"
    random = Random(1)
    for _ in range(20):
        text = text_of(constraint, walk(constraint, random)).decode()
        assert re.fullmatch("(cats?|doors|dog dog)( cat)*", text)
    with pytest.raises(UserError, match="no tokens that could spell"):
        RegexConstraint("zebra", vocabulary)


def test_it_is_finished_as_soon_as_only_the_end_is_possible() -> None:
    vocabulary = Vocabulary([b"a", b"b", None], end_ids=[2])
    follower = RegexConstraint("ab?", vocabulary).begin()
    assert not follower.see(0).finished
    assert follower.allowed() is not None and follower.allowed().tolist() == [False, True, True]  # type: ignore[union-attr]
    assert follower.see(1).finished
    early = RegexConstraint("ab?", vocabulary).begin()
    early.see(0)
    assert early.see(2).finished
    for token in (1, 2):
        with pytest.raises(ValueError):
            RegexConstraint("ab?", vocabulary).begin().see(token)


def test_masks_are_remembered_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("glassmind.generate.constraint.constraint.MASK_BYTES", 20)
    constraint = RegexConstraint("a{30}", Vocabulary([b"a", b"aa", None], [2]))
    masks = [constraint.mask(state) for state in range(1, 31)]
    assert len(constraint._masks) == 6
    assert constraint.mask(30) is masks[-1]
    assert constraint.mask(1).tolist() == masks[0].tolist()


def test_what_a_vocabulary_refuses() -> None:
    with pytest.raises(UserError, match="end token 3"):
        Vocabulary([b"a", b"b"], [3])
    with pytest.raises(UserError, match="names no end token"):
        RegexConstraint("a", Vocabulary([b"a"]))
    with pytest.raises(UserError, match="do not belong together"):
        Vocabulary.of(CharTokenizer(), size=100)


WRONG = {
    "lookahead": "(?=a)b",
    "lookbehind": "(?<=a)b",
    "flags": "(?i)a",
    "reference": r"(a)\1",
    "word-border": r"\ba",
    "possessive": "a*+",
    "two-counts": "a{2}{3}",
    "nothing-to-repeat": "*a",
    "nothing-to-count": "({2})",
    "open-group": "(a",
    "open-set": "[a",
    "closed-twice": "a)",
    "anchor-inside": "(^a)",
    "anchor-in-the-middle": "a$b",
    "anchor-late": "a^b",
    "empty-set": "[]",
    "range-backwards": "[z-a]",
    "range-of-shorthand": r"[a-\d]",
    "count-backwards": "a{3,2}",
    "count-too-large": "a{99999}",
    "count-absurd": "a{" + "9" * 5000 + "}",
    "no-least-count": "a{,3}",
    "ends-with-backslash": "a\\",
    "property": r"\p{L}",
    "no-such-character": r"\Uffffffff",
    "too-long": "a" * 10_001,
    "too-deep": "(" * 9000 + ")" * 9000,
    "deeper": "(" * 5000,
    "nothing-matches": r"[^\s\S]",
    "only-a-surrogate": "\ud800",
}


@pytest.mark.parametrize("pattern", WRONG.values(), ids=WRONG)
def test_what_is_refused(pattern: str) -> None:
    with pytest.raises(UserError) as refusal:
        automaton(parse_regex(pattern))
    assert len(str(refusal.value)) < 250


BOMBS = ["(a|b)*a(a|b){20}", "((a{1000}){1000}){1000}", "(((){9999}){9999}){9999}", r"\W{9000}"]


@pytest.mark.parametrize("pattern", BOMBS, ids=range(len(BOMBS)))
def test_bombs_are_refused_in_bounded_time(pattern: str) -> None:
    """Without bounds this would take not seconds, but hours."""
    with pytest.raises(UserError, match="too much"):
        automaton(parse_regex(pattern))


@given(st.lists(st.tuples(st.integers(0, 0x10FFFF), st.integers(0, 3000)), max_size=6))
@settings(max_examples=60)
def test_characters_are_spelled_as_utf8_has_them(spans: list[tuple[int, int]]) -> None:
    ranges = union((low, min(low + more, 0x10FFFF)) for low, more in spans)
    kept = complement(complement(ranges))
    paths = utf8_paths(kept)

    def spelled(paths: Paths, data: bytes) -> bool:
        for bits, rest in paths:
            if data and bits >> data[0] & 1:
                return len(data) == 1 if rest is None else spelled(rest, data[1:])
        return False

    edges = {p + d for low, high in ranges for p in (low, high) for d in (-1, 0, 1)}
    for point in sorted(edges):
        if not 0 <= point <= 0x10FFFF or 0xD800 <= point <= 0xDFFF:
            continue
        inside = any(low <= point <= high for low, high in ranges)
        assert spelled(paths, chr(point).encode()) == inside
