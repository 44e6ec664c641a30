"""Regular expressions, choices and grammars: the masks against ``re`` and partial matches."""

from __future__ import annotations

import re
import sys
import unicodedata
from functools import cache
from pathlib import Path
from random import Random

import pytest
import regex
from constrained_walk import fits, text_of, walk
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from glassmind.errors import UserError
from glassmind.generate.constraint.constraint import (
    ChoiceConstraint,
    GrammarConstraint,
    RegexConstraint,
)
from glassmind.generate.constraint.matcher import find_masks
from glassmind.generate.constraint.vocabulary import Vocabulary
from glassmind.generate.stop_texts import StopTexts
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
    r"(?P<year>\d{4})-(?P<month>0\d|1[0-2])",
    r"[\]\-a]{2}",
    r"[a-cx-z_-]+[^a-y]*?",
    r"\x41\u00e9[é-ü]?\U0001f600",
    r"a/b\/c",
    r"\D\W.",
    r"\{\"a\": \{x\}\}",
    "(a*)*b",
    "((|a)|b+)+",
    r".*\..*",
]

TEXT = "".join(chr(n) for n in range(32, 127)) * 3 + "the yes no, because ab abab 2024-12 éüß 😀 "
BYTES = Vocabulary(
    [*(bytes([i]) for i in range(256)), None], [256], encode=lambda text: list(text.encode())
)


@pytest.fixture(scope="module")
def bpe() -> Vocabulary:
    return Vocabulary.of(train_bpe([TEXT * 4], 400))


@pytest.fixture(scope="module")
def char() -> Vocabulary:
    return Vocabulary.of(CharTokenizer("éüß😀"), size=300)


_constraint = cache(RegexConstraint)

ALPHABET = "".join(map(chr, range(32, 127))) + "éü😀\n"


@pytest.mark.parametrize("pattern", PATTERNS, ids=range(len(PATTERNS)))
@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_what_is_allowed_is_what_re_matches(pattern: str, data: st.DataObject) -> None:
    matching = st.from_regex(pattern, fullmatch=True, alphabet=st.sampled_from(ALPHABET))
    text = data.draw(st.one_of(st.text(ALPHABET, max_size=12), matching))
    matches = re.fullmatch(pattern, text) is not None
    assert fits(_constraint(pattern, BYTES), text.encode()) == matches


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


@given(patterns(), st.text("abc", max_size=4))
@settings(max_examples=60, deadline=None)
def test_masks_are_what_can_still_be_completed(pattern: str, begun: str) -> None:
    # Lazy counts match the same texts as greedy ones, but with them ``regex`` reports partial
    # matches that nothing can complete.
    greedy = pattern.replace("*?", "*")
    tokens = [b"a", b"b", b"c", b"ab", b"bc", b"cab", b"aaaa", b"abcabcab", None, b"", b"a"]
    tokens += [bytes([i]) for i in range(256) if i not in b"abc"]
    follower = RegexConstraint(pattern, Vocabulary(tokens, end_ids=[8])).begin()
    for at, letter in enumerate(begun):
        mask = follower.allowed()
        assert mask is not None
        possible = regex.fullmatch(greedy, begun[: at + 1], partial=True) is not None
        assert bool(mask["abc".index(letter)]) == possible
        if not possible:
            return
        finished = follower.see("abc".index(letter)).finished
        assert finished == all(
            regex.fullmatch(greedy, begun[: at + 1] + more, partial=True) is None
            for more in ("a", "b", "c", "x", "é")
        )
    mask = follower.allowed()
    assert mask is not None
    for token_id, data in enumerate(tokens[:11]):
        if token_id == 8:
            expected = regex.fullmatch(greedy, begun) is not None
        else:
            text = begun + (data or b"").decode()
            expected = bool(data) and regex.fullmatch(greedy, text, partial=True) is not None
        assert bool(mask[token_id]) == expected, (token_id, data)


@pytest.mark.parametrize("name", ["bpe", "char"])
@given(pattern=st.sampled_from(PATTERNS), seed=st.integers(0, 1 << 32))
@settings(max_examples=25, deadline=None)
def test_whatever_is_written_matches(
    name: str, pattern: str, seed: int, bpe: Vocabulary, char: Vocabulary
) -> None:
    constraint = _constraint(pattern, {"bpe": bpe, "char": char}[name])
    ids = walk(constraint, Random(seed))
    if ids is None:
        return
    text = text_of(constraint, ids).decode("utf-8")  # also where a token is half a character
    # Newer digits than this Python's Unicode has are \\d to the parser, and not to ``re``.
    assume(not any(unicodedata.category(character) == "Cn" for character in text))
    assert re.fullmatch(pattern, text), (pattern, text)


@pytest.mark.parametrize("name", ["gpt2", "llama2"])
def test_published_vocabularies(name: str, data_folder: Path) -> None:
    if not (data_folder / "tokenizers" / name).is_dir():
        pytest.skip(f"no tokenizer {name} in the data folder")
    tokenizer = load_tokenizer(data_folder / "tokenizers" / name)
    assert isinstance(tokenizer, ComposedTokenizer)
    vocabulary = Vocabulary.of(tokenizer, end_ids={"gpt2": [50256], "llama2": [2]}.get(name))
    assert vocabulary.grammar_tokenizer.forces
    random = Random(7)
    for pattern in (
        r" ?[^\x00]{1,40}",
        PATTERNS[3],
        r"\d{3}|😀+ ünd",
        r" *x",
        "the whole sentence",
    ):
        constraint = RegexConstraint(pattern, vocabulary)
        for _ in range(4):
            ids = walk(constraint, random)
            assert ids is not None
            data = tokenizer.decode_bytes([i for i in ids if i not in vocabulary.end_ids])
            assert data == text_of(constraint, ids)
            assert re.fullmatch(pattern, data.decode("utf-8")), (pattern, data)


@given(
    pattern=st.sampled_from([" a", " ?b", "  c", " *", "a| {2}b", "b"]),
    seed=st.integers(0, 1 << 32),
)
@settings(max_examples=40, deadline=None)
def test_a_space_that_decoding_takes_away(pattern: str, seed: int) -> None:
    tokens = [None, b" ", b"  ", b" a", b"a", b"b", b" b", b"c", b"   c"]
    for lead in (b" ", b"  "):
        constraint = RegexConstraint(pattern, Vocabulary(tokens, [0], lead))
        ids = walk(constraint, Random(seed))
        assert ids is not None
        text = text_of(constraint, ids).decode()
        assert re.fullmatch(pattern, text), text
    # Where nothing in the language begins with the space, it may be left out.
    mask = RegexConstraint("b", Vocabulary(tokens, [0], b" ")).begin().allowed()
    assert mask is not None and mask.nonzero()[:, 0].tolist() == [1, 5, 6]


def wordpiece(words: list[str]) -> ComposedTokenizer:
    vocab = {word: number for number, word in enumerate(["[UNK]", *words])}
    return ComposedTokenizer(WordPiece(vocab), decoder=WordPieceDecoder(cleanup=False))


def test_a_vocabulary_without_all_bytes_comes_to_a_dead_end_at_worst() -> None:
    vocabulary = Vocabulary.of(wordpiece(["cat", "##s", "dog", "ca", "do", "##x"]), end_ids=[0])
    assert not vocabulary.grammar_tokenizer.forces
    constraint = RegexConstraint("(cats?|doors)( cat)*", vocabulary)
    follower = constraint.begin()
    assert not follower.see(1).finished  # cat
    mask = follower.allowed()
    assert mask is not None and mask.nonzero()[:, 0].tolist() == [0, 1, 2, 4]
    stuck = constraint.begin()
    assert not stuck.see(5).finished  # do: no token writes the rest of doors
    mask = stuck.allowed()
    assert mask is not None and not mask.any()
    with pytest.raises(UserError, match="nothing that the tokenizer's tokens could spell"):
        RegexConstraint("zebra", vocabulary)


def test_it_is_finished_as_soon_as_only_the_end_is_possible() -> None:
    vocabulary = Vocabulary([b"a", b"b", None], end_ids=[2])
    follower = RegexConstraint("ab?", vocabulary).begin()
    assert not follower.see(0).finished
    mask = follower.allowed()
    assert mask is not None and mask.tolist() == [False, True, True]
    assert follower.allowed() is mask
    assert follower.see(1).finished
    early = RegexConstraint("ab?", vocabulary).begin()
    early.see(0)
    assert early.see(2).finished
    for token in (1, 2):
        with pytest.raises(ValueError, match="not allowed"):
            RegexConstraint("ab?", vocabulary).begin().see(token)


def test_masks_of_many_are_those_of_each(bpe: Vocabulary, char: Vocabulary) -> None:
    """What is found side by side is what each finds alone, whatever else follows beside them."""
    constraints = [_constraint(pattern, bpe) for pattern in PATTERNS[1:9]]
    constraints += [_constraint(pattern, char) for pattern in PATTERNS[1:4]]
    together = [constraint.begin() for constraint in constraints for _ in range(2)]
    find_masks([*together, StopTexts(["x"], bpe.token_bytes)])
    for follower, constraint in zip(together[::2], constraints, strict=True):
        expected, found = constraint.begin().allowed(), follower.allowed()
        assert expected is not None and found is not None
        assert found.tolist() == expected.tolist()


def test_choices(char: Vocabulary) -> None:
    choices = ["yes", "no", 'q"u\\o\n', "", "no way", "\x7f é😀", "a|b", "(x"]
    constraint = ChoiceConstraint(choices, char)
    random = Random(2)
    written = set()
    for _ in range(60):
        ids = walk(constraint, random)
        assert ids is not None
        written.add(text_of(constraint, ids).decode())
    assert written <= set(choices) and len(written) > 4
    for choice in choices:
        assert fits(ChoiceConstraint(choices, BYTES), choice.encode())
    for wrong in ([], ["x"] * 1001, ["\ud800"], ["x" * 100_001]):
        with pytest.raises(UserError):
            ChoiceConstraint(wrong, char)


LARK = """
start: sum
sum: NUMBER | "(" sum OPERATOR sum ")"
OPERATOR: "+" | "*"
NUMBER: /[1-9][0-9]{0,2}/
"""
GBNF = r"""
root ::= sum
sum ::= number | "(" sum [+*] sum ")"
number ::= [1-9] [0-9]{0,2}
"""


@pytest.mark.parametrize("grammar", [LARK, GBNF], ids=["lark", "gbnf"])
def test_grammars(grammar: str) -> None:
    constraint = GrammarConstraint(grammar, BYTES)
    for text in ("7", "(1+22)", "((1*2)+(3+(44*5)))"):
        assert fits(constraint, text.encode())
        assert isinstance(eval(text), int)
    for text in ("", "0", "1+2", "((1+2)", "(1-2)", "(1+2))"):
        assert not fits(constraint, text.encode())


def test_schemas_in_grammars_are_prepared_too() -> None:
    grammar = 'start: "call " %json { "type": "string", "format": "date" } "!"'
    constraint = GrammarConstraint(grammar, BYTES)
    assert fits(constraint, b'call "2024-02-29"!')
    assert not fits(constraint, b'call "2023-02-29"!')
    with pytest.raises(UserError, match="multipleOf"):
        GrammarConstraint('start: %json { "multipleOf": 99999989 }', BYTES)


def test_special_tokens_are_out_of_a_grammars_reach() -> None:
    vocabulary = Vocabulary([b"a", None, b"b", None], end_ids=[3])
    mask = GrammarConstraint("start: <[0-2]>+", vocabulary).begin().allowed()
    assert mask is not None and mask.tolist() == [True, False, True, False]


def test_what_a_vocabulary_refuses() -> None:
    with pytest.raises(UserError, match="end token 3"):
        Vocabulary([b"a", b"b"], [3])
    with pytest.raises(UserError, match="names no end token"):
        RegexConstraint("a", Vocabulary([b"a"]))
    with pytest.raises(UserError, match="do not belong together"):
        Vocabulary.of(CharTokenizer(), size=100)


def test_without_the_package_one_sentence_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "llguidance", None)
    vocabulary = Vocabulary([b"a", None], [1])
    for make in (RegexConstraint, GrammarConstraint):
        with pytest.raises(UserError, match=r"pip install 'glassmind\[constrain\]'"):
            make("a", vocabulary)


WRONG = {
    "lookahead": "(?=a)b",
    "lookbehind": "(?<=a)b",
    "reference": r"(a)\1",
    "word-border": r"\ba",
    "nothing-to-repeat": "*a",
    "open-group": "(a",
    "open-set": "[a",
    "closed-twice": "a)",
    "anchor-in-the-middle": "a$b",
    "range-backwards": "[z-a]",
    "count-backwards": "a{3,2}",
    "count-absurd": "a{" + "9" * 5000 + "}",
    "ends-with-backslash": "a\\",
    "too-long": "a" * 10_001,
    "too-deep": "(" * 4000 + ")" * 4000,
    "deeper": "(" * 5000,
    "nothing-matches": r"[^\s\S]",
    "only-a-surrogate": "\ud800",
    "bomb": "((a{1000}){1000}){1000}",
    "many-optional": "(a?){5000}a{5000}",
}


@pytest.mark.parametrize("pattern", WRONG.values(), ids=WRONG)
def test_what_is_refused(pattern: str) -> None:
    with pytest.raises(UserError) as refusal:
        RegexConstraint(pattern, BYTES)
    assert len(str(refusal.value)) < 300 and "\n" not in str(refusal.value)


WRONG_GRAMMARS = {
    "no-start": 'a: "x"',
    "unknown-rule": "start: b",
    "open-string": 'start: "x',
    "endless": "start: a\na: a a",
    "itself": "start: A\nA: A",
    "deep": "start: " + "(" * 2000 + '"x"' + ")" * 2000,
    "doubling": "start: A0\n"
    + "".join(f"A{i}: A{i + 1} A{i + 1}\n" for i in range(40))
    + 'A40: "x"',
    "counted": 'start: a{1000000}\na: "x"',
    "too-long": 'start: "x"' + " " * 100_000,
    "deep-gbnf": "root ::= " + "(" * 9000 + '"x"' + ")" * 9000,
    "open-gbnf": 'root ::= "x',
}


@pytest.mark.parametrize("grammar", WRONG_GRAMMARS.values(), ids=WRONG_GRAMMARS)
def test_grammars_that_are_refused(grammar: str) -> None:
    with pytest.raises(UserError) as refusal:
        GrammarConstraint(grammar, BYTES)
    assert len(str(refusal.value)) < 400 and "\n" not in str(refusal.value)
