"""Added tokens against the ``tokenizers`` library, with every way of finding them."""

from __future__ import annotations

import itertools
import random

import pytest
from tokenizers import AddedToken as ReferenceToken
from tokenizers import Tokenizer, models
from tokenizers import normalizers as reference

from glassmind.tokenize.composed import added_tokens
from glassmind.tokenize.composed.added_tokens import AddedToken, AddedTokenFinder
from glassmind.tokenize.composed.character_bpe import CharacterBPE
from glassmind.tokenize.composed.normalize import Lowercase
from glassmind.tokenize.composed.tokenizer import ComposedTokenizer

VOCAB = {character: at for at, character in enumerate("abcxyz ABX<|>_\t\n")}
SPELLINGS = ["<|a|>", "<|a|>b", "ab", "X", "  ", "_", "cB"]
FLAGS = list(itertools.product([False, True], repeat=5))


def both(flags: tuple[bool, ...], lower: bool) -> tuple[ComposedTokenizer, Tokenizer]:
    special, normalized, lstrip, rstrip, single_word = flags
    theirs = Tokenizer(models.BPE(VOCAB, []))
    if lower:
        theirs.normalizer = reference.Lowercase()
    ours: list[AddedToken] = []
    for at, spelling in enumerate(SPELLINGS):
        # Every other token has the flags, the rest have none, so that they meet.
        own = flags if at % 2 == 0 else (at % 4 == 1, False, False, False, False)
        special, normalized, lstrip, rstrip, single_word = own
        token = ReferenceToken(
            spelling,
            special=special,
            normalized=normalized,
            lstrip=lstrip,
            rstrip=rstrip,
            single_word=single_word,
        )
        (theirs.add_special_tokens if special else theirs.add_tokens)([token])
        token_id = theirs.token_to_id(spelling)
        assert token_id is not None
        ours.append(
            AddedToken(spelling, token_id, special, normalized, lstrip, rstrip, single_word)
        )
    composed = ComposedTokenizer(
        CharacterBPE(VOCAB, []), Lowercase() if lower else None, added_tokens=tuple(ours)
    )
    return composed, theirs


@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize("flags", FLAGS, ids=lambda flags: "".join("01"[flag] for flag in flags))
def test_tokens_are_found_as_in_the_reference(flags: tuple[bool, ...], lower: bool) -> None:
    ours, theirs = both(flags, lower)
    rng = random.Random(1)
    for _ in range(150):
        text = "".join(rng.choices([*SPELLINGS, *"abX_ \t\n<|>", " "], k=rng.randint(1, 9)))
        theirs.encode_special_tokens = False
        ids = ours.encode_marked(text)
        assert ids == theirs.encode(text, add_special_tokens=False).ids, repr(text)
        if not (lower and flags[:2] == (True, True)):
            # The library forgets that a token is special where normalizing changed its spelling.
            assert ours.decode(ids) == theirs.decode(ids)
        assert ours.decode(ids, skip_special=False) == theirs.decode(ids, skip_special_tokens=False)
        theirs.encode_special_tokens = True
        assert ours.encode(text) == theirs.encode(text, add_special_tokens=False).ids, repr(text)


def test_the_parts_are_the_text() -> None:
    finder = AddedTokenFinder((t, AddedToken(t, at)) for at, t in enumerate(SPELLINGS))
    text = "x<|a|>b  ab<|a|>"
    parts = list(finder.split(text, special=True))
    assert "".join(p if isinstance(p, str) else p.content for p in parts) == text
    assert [p for p in parts if isinstance(p, str)] == ["x"]
    assert list(finder.split(text, special=False)) == [text]
    assert list(AddedTokenFinder([]).split("ab", special=True)) == ["ab"]
    assert list(finder.split("", special=True)) == []


def test_white_space_is_looked_through_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of 500 tokens that are a space and take what follows would look at all the rest."""

    class Counted(frozenset[str]):
        asked = 0

        def __contains__(self, character: object) -> bool:
            Counted.asked += 1
            return super().__contains__(character)

    monkeypatch.setattr(added_tokens, "_WHITE", Counted(" "))
    token = AddedToken(" ", 0, special=False, lstrip=True, rstrip=True)
    assert next(iter(AddedTokenFinder([(" ", token)]).split(" " * 500, special=False))) == token
    assert Counted.asked < 1000
    assert list(AddedTokenFinder([(" ", token)]).split("a" + " " * 500 + "b", False)) == [
        *("a", token, "b"),
    ]
    assert Counted.asked < 4000


def test_added_tokens_of_too_many_lengths_are_refused() -> None:
    """At every "x" each of the lengths would be tried."""

    def tokens(n: int) -> tuple[AddedToken, ...]:
        return tuple(AddedToken("x" * (at + 1), at) for at in range(n))

    model = CharacterBPE({}, [])
    assert ComposedTokenizer(model, added_tokens=tokens(180)).vocab_size == 180
    with pytest.raises(ValueError, match="200 lengths of added tokens that begin with 'x'"):
        ComposedTokenizer(model, added_tokens=tokens(200))
