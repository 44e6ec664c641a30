"""Regular expressions from elsewhere: translated, refused, or stopped."""

from __future__ import annotations

import pytest
from bounded_memory import at_most
from nasty_strings import nasty_strings
from tokenizers import Regex
from tokenizers import pre_tokenizers as reference

from glassmind.errors import UserError
from glassmind.tokenize.composed.patterns import COVERING, Pattern, PatternError


@pytest.mark.parametrize("source", sorted(COVERING))
def test_the_matches_of_a_known_pattern_are_the_text(source: str) -> None:
    pattern = Pattern(source)
    assert pattern.covers
    for text in nasty_strings(4, 300, unassigned=True):
        assert "".join(pattern.compiled.findall(text)) == text


@pytest.mark.parametrize(
    "source",
    [
        r"^a|b$",
        r"\h+",
        r"[\h_]+",
        r"\Aa|a\z",
        r"\n\Z",
        r"[[:alpha:]]+|[^[:space:]]",
        r"a++b?+",
        r"(?i:the)|(?<=a)b",
        r"\p{Han}+|\p{^L}",
        r"[\]a\\-]+",
        r"a{e<=1}|b{|(?# an open ( )a{2}|a{,1}b",
    ],
)
def test_a_pattern_in_rubys_dialect_means_the_same(source: str) -> None:
    theirs = reference.Split(Regex(source), "isolated")
    texts = ["a\nb\na", "bad0_FACE", "]a\\-", "aab", "ab漢字THE\n", "a\n", *nasty_strings(5, 200)]
    for text in texts:
        (spans,) = Pattern(source).find([text])
        matched = {text[start:end] for start, end in spans if end > start}
        pieces = [piece for piece, _ in theirs.pre_tokenize_str(text)]
        assert matched <= set(pieces), repr(text)
        edges = {0, len(text), *(edge for span in spans for edge in span)}
        lengths = [len(piece) for piece in pieces]
        assert {sum(lengths[:n]) for n in range(len(lengths) + 1)} == edges, repr(text)


@pytest.mark.parametrize(
    "source",
    [
        *("(", "[", "a**", "[a&&b]", "[a[b]]", r"\p{N}{1,3}+", "(?m:.)", r"\p{Nothing}", "[\\H]"),
        *("\\", "x" * 20_000, "a{99999999999}"),
        *("(?R)", "a(?1)?(b)", r"(?<n>a\g<n>?b)", "(?P<n>a(?&n)?b)"),
    ],
)
def test_what_cannot_be_translated_is_refused(source: str) -> None:
    with pytest.raises(PatternError):
        Pattern(source)


@pytest.mark.parametrize(
    "source",
    [
        "(?:(?:(?:a{999}){999}){999})",
        r"(?:\p{L}|[()]{999}(?:x|(a)){999}){99,}",
        "(?:a{999}(?#((()b){999}",
        "(?x:(?:a{999} # (((\n b){999})",
        r"\({9999}{9999}",
        "a{99999999}",
    ],
)
def test_repeats_of_repeats_are_counted_before_they_take_memory(source: str) -> None:
    with at_most(512), pytest.raises(PatternError, match="repeats its parts more than"):
        Pattern(source)


def test_a_pattern_that_runs_for_ever_is_stopped() -> None:
    with pytest.raises(UserError, match="took more than"):
        list(Pattern("(a|aa)+[bc]").find(["a" * 60]))


def test_replacing_takes_the_content_as_it_stands() -> None:
    assert Pattern("a+").replace(["baab", "", "x"], r"\0$1") == [r"b\0$1b", "", "x"]
    assert Pattern("", is_regex=False).replace(["ab"], "x") == ["ab"]
