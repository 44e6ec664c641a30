r"""Normalizers: rewriting a text before it is cut.

Unicode can write the same thing in several ways: "é" as one code point or as "e" and an accent. A
vocabulary that knows only one of them cuts the other into many tokens, so many tokenizers first
bring the text to one form. The text then does not round-trip exactly, so byte-level tokenizers like
GPT-2's do not normalize.

The parts have the names that the ``tokenizers`` library gives them; each is a function from text to
text, with its settings. ``charsmap.py`` has the one that is a table. Classes such as marks and
controls come from Python's Unicode tables, so a recently added code point that one engine knows and
the other does not may be treated differently.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from glassmind.tokenize.composed.charsmap import SentencePieceNormalizer
from glassmind.tokenize.composed.patterns import Pattern, check_growth
from glassmind.tokenize.composed.pretokenize import WHITE


class Normalizer(Protocol):
    """Rewrites text."""

    def normalize(self, text: str) -> str:
        """``text`` in the form that the vocabulary expects."""
        ...


@dataclass(frozen=True)
class UnicodeForm:
    """One of Unicode's four normal forms (Unicode Standard Annex 15): accents joined (C) or apart
    (D), look-alikes such as "ﬁ" and "²" kept (no K) or replaced (K)."""

    form: Literal["NFC", "NFD", "NFKC", "NFKD"]

    def normalize(self, text: str) -> str:
        return text if text.isascii() else unicodedata.normalize(self.form, text)


@dataclass(frozen=True)
class Lowercase:
    """Lower case, each character by itself: a final sigma is treated like any other."""

    def normalize(self, text: str) -> str:
        return text.replace("Σ", "σ").lower()


@dataclass(frozen=True)
class Replace:
    """Every match of ``pattern`` becomes ``content``."""

    pattern: Pattern
    content: str

    def normalize(self, text: str) -> str:
        return self.pattern.replace([text], self.content)[0]


@dataclass(frozen=True)
class Prepend:
    """``prepend`` in front of every text that is not empty."""

    prepend: str

    def normalize(self, text: str) -> str:
        return self.prepend + text if text else text


@dataclass(frozen=True)
class Strip:
    """Remove white space at the ends."""

    strip_left: bool = True
    strip_right: bool = True

    def normalize(self, text: str) -> str:
        if self.strip_left:
            text = text.lstrip(_WHITE_CHARACTERS)
        return text.rstrip(_WHITE_CHARACTERS) if self.strip_right else text


@dataclass(frozen=True)
class StripAccents:
    """Remove combining marks; useful after ``NFD``, which separates accents."""

    def normalize(self, text: str) -> str:
        return "".join(c for c in text if unicodedata.category(c)[0] != "M")


@dataclass(frozen=True)
class Nmt:
    """The clean-up of Google's translation systems: remove controls, replace unusual spaces."""

    def normalize(self, text: str) -> str:
        return text.translate(_NMT)


@dataclass(frozen=True)
class BertNormalizer:
    """BERT's normalizer (Devlin et al., 2018, arXiv 1810.04805): controls are removed, white space
    becomes spaces (``clean_text``), Chinese characters get spaces around them, accents are removed
    (``None``: if ``lowercase``), letters become lower case."""

    clean_text: bool = True
    handle_chinese_chars: bool = True
    strip_accents: bool | None = None
    lowercase: bool = True

    def normalize(self, text: str) -> str:
        if self.clean_text:
            text = "".join(c for c in text if c in "\t\n\r" or not _is_control(c))
            text = _WHITE.sub(" ", text)
        if self.handle_chinese_chars:
            text = _CHINESE.sub(r" \g<0> ", text)
        if self.lowercase if self.strip_accents is None else self.strip_accents:
            text = unicodedata.normalize("NFD", text)
            text = "".join(c for c in text if unicodedata.category(c) != "Mn")
        return Lowercase().normalize(text) if self.lowercase else text


@dataclass(frozen=True)
class Sequence:
    """One normalizer after the other. Raises ``UserError`` where together they make a text too
    long (``patterns.check_growth``)."""

    normalizers: tuple[Normalizer, ...]

    def normalize(self, text: str) -> str:
        length = len(text)
        for normalizer in self.normalizers:
            text = normalizer.normalize(text)
            check_growth(length, len(text))
        return text


def without_prefix(normalizer: Normalizer | None) -> Normalizer | None:
    """The same normalizer for text that continues: without anything put in front."""
    match normalizer:
        case Prepend():
            return None
        case Sequence(steps):
            rest = [step for step in map(without_prefix, steps) if step is not None]
            return Sequence(tuple(rest))
        case SentencePieceNormalizer(add_dummy_prefix=True):
            return replace(normalizer, add_dummy_prefix=False)
    return normalizer


_WHITE = re.compile(f"[{WHITE}]")
_WHITE_CHARACTERS = "".join(map(chr, filter(lambda c: _WHITE.match(chr(c)), range(0x3001))))
_NMT: dict[int, str | None] = {
    **dict.fromkeys([*range(0x01, 0x09), 0x0B, *range(0x0E, 0x20), 0x7F, 0x8F, 0x9F]),
    **dict.fromkeys(
        (*b"\t\n\f\r", 0x1680, *range(0x200B, 0x2010), 0x2028, 0x2029, 0x2581, 0xFEFF, 0xFFFD),
        " ",
    ),
}
# The blocks of ideographs in BERT's code: those of Unicode 8 without extension E's first range.
_CHINESE = re.compile(
    "[\u4e00-\u9fff\u3400-\u4dbf\U00020000-\U0002a6df\U0002a700-\U0002b73f"
    "\U0002b740-\U0002b81f\U0002b920-\U0002ceaf\uf900-\ufaff\U0002f800-\U0002fa1f]"
)


def _is_control(character: str) -> bool:
    """Controls, invisible formatting, private use, and the replacement character."""
    return character == "\ufffd" or unicodedata.category(character) in ("Cc", "Cf", "Co")
