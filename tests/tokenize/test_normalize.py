"""Normalizers against the ``tokenizers`` library, on every code point to U+3000 and on strings."""

from __future__ import annotations

import pytest
from nasty_strings import nasty_strings
from tokenizers import Regex
from tokenizers import normalizers as reference

from glassmind.tokenize.composed import normalize
from glassmind.tokenize.composed.normalize import Normalizer
from glassmind.tokenize.composed.patterns import Pattern

CASES: dict[str, tuple[Normalizer, object]] = {
    "NFC": (normalize.UnicodeForm("NFC"), reference.NFC()),
    "NFD": (normalize.UnicodeForm("NFD"), reference.NFD()),
    "NFKC": (normalize.UnicodeForm("NFKC"), reference.NFKC()),
    "NFKD": (normalize.UnicodeForm("NFKD"), reference.NFKD()),
    "lowercase": (normalize.Lowercase(), reference.Lowercase()),
    "prepend": (normalize.Prepend("▁x"), reference.Prepend("▁x")),
    "strip": (normalize.Strip(), reference.Strip()),
    "strip left": (normalize.Strip(True, False), reference.Strip(left=True, right=False)),
    "strip right": (normalize.Strip(False, True), reference.Strip(left=False, right=True)),
    "accents": (normalize.StripAccents(), reference.StripAccents()),
    "nmt": (normalize.Nmt(), reference.Nmt()),
    "replace string": (
        normalize.Replace(Pattern("a.", is_regex=False), "\\1"),
        reference.Replace("a.", "\\1"),
    ),
    "replace regex": (
        normalize.Replace(Pattern(r"\s{2,}|[a-c]+"), "▁"),
        reference.Replace(Regex(r"\s{2,}|[a-c]+"), "▁"),
    ),
    "bert": (normalize.BertNormalizer(), reference.BertNormalizer()),
    "bert, cased": (
        normalize.BertNormalizer(strip_accents=False, lowercase=False),
        reference.BertNormalizer(strip_accents=False, lowercase=False),
    ),
    "bert, clean text only": (
        normalize.BertNormalizer(True, False, None, False),
        reference.BertNormalizer(True, False, None, False),
    ),
    "sequence": (
        normalize.Sequence(
            (normalize.UnicodeForm("NFD"), normalize.StripAccents(), normalize.Lowercase())
        ),
        reference.Sequence([reference.NFD(), reference.StripAccents(), reference.Lowercase()]),
    ),
}
# Marks, format characters and capitals that were added to Unicode, or changed their class, after
# the library's tables were made.
_YOUNGER = """7FD 890-8E2 9FE AFA-AFF B55 C04 C3C D00 D3B-D3C D81 EBA 1715 1734 180F 1885-1886
    1ABF-1AF0 1C89 1CF2-1CF3 1CF7 1DF6-1DFB"""
YOUNGER = {
    code
    for first, _, last in (part.partition("-") for part in _YOUNGER.split())
    for code in range(int(first, 16), int(last or first, 16) + 1)
}


@pytest.mark.parametrize("name", CASES)
def test_every_early_code_point_is_treated_as_the_reference_treats_it(name: str) -> None:
    ours, theirs = CASES[name]
    different = {
        code
        for code in range(0x3000)
        if ours.normalize(f"a{chr(code)}b ") != theirs.normalize_str(f"a{chr(code)}b ")  # type: ignore[attr-defined]
    }
    assert different <= YOUNGER


@pytest.mark.parametrize("name", CASES)
def test_nasty_strings_come_out_as_in_the_reference(name: str) -> None:
    ours, theirs = CASES[name]
    for text in nasty_strings(1, 400):
        if any(ord(character) >= 0x3000 or ord(character) in YOUNGER for character in text):
            continue
        assert ours.normalize(text) == theirs.normalize_str(text)  # type: ignore[attr-defined]


def test_the_empty_text_stays_empty() -> None:
    assert all(ours.normalize("") == "" for ours, _ in CASES.values())
