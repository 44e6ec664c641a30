r"""Pre-tokenizers: how a text is cut before the vocabulary is used.

``bpe/presplit.py`` is our own. Other tokenizers build theirs from a handful of parts, which have
the names that the ``tokenizers`` library gives them:

==================== ==========================================================================
``Split``            at the matches of a pattern, which are kept, dropped or joined to a neighbour
``ByteLevel``        GPT-2's way: its pattern, then every byte written as a visible character
``Metaspace``        SentencePiece's way: a space is the letter ``▁`` and begins a word
``Digits``           numbers apart from the rest, whole or digit by digit
``Punctuation``      signs apart from the rest
``Whitespace``       words and runs of signs, spaces dropped
``WhitespaceSplit``  the text between spaces
``BertPreTokenizer`` the text between spaces, each sign by itself
``Sequence``         one after the other
==================== ==========================================================================

Each takes a list of pieces and returns a longer list. Writing bytes as visible characters
(``bpe/byte_alphabet.py``) is left to the caller, which does it once per cached piece instead of
once per piece; ``spells`` says that it is needed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

import regex  # type: ignore[import-untyped]

from glassmind.tokenize.bpe.byte_alphabet import spell
from glassmind.tokenize.composed.patterns import GPT2, Pattern

Behavior = Literal["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]
"""How a match is treated: dropped, a piece of its own, joined to the text before or after it, or
joined to the matches next to it."""

PrependScheme = Literal["always", "first", "never"]

WHITE = "\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
"""Unicode's White_Space as the inside of a set. Python's ``str.isspace`` counts U+001C to U+001F
as well."""

_GPT2 = regex.compile(GPT2)
_NUMBERS = {True: regex.compile(r"\p{N}|\P{N}+"), False: regex.compile(r"\p{N}+|\P{N}+")}
_SIGN = r"\p{P}$+<=>^`|~"  # ASCII's symbols count as punctuation, as in BERT
_PUNCTUATION = Pattern(f"[{_SIGN}]")
_WORDS_AND_SIGNS = regex.compile(r"\w+|[^\w\s]+")
_NOT_WHITE = re.compile(f"[^{WHITE}]+")
_SIGNS_BETWEEN_SPACES = regex.compile(f"[{_SIGN}]|[^{_SIGN}{WHITE}]+")


class PreTokenizer(Protocol):
    """Cuts pieces into smaller ones."""

    @property
    def spells(self) -> bool:
        """Whether the pieces must then be written in visible bytes."""
        ...

    def split(self, pieces: list[str], first: bool) -> list[str]:
        """The pieces of ``pieces``, none empty; ``first``: the first one begins the text."""
        ...


@dataclass(frozen=True)
class Split:
    """Cuts at the matches of ``pattern``; ``invert`` swaps what matches and what does not."""

    pattern: Pattern
    behavior: Behavior
    invert: bool = False
    spells: ClassVar[bool] = False

    def split(self, pieces: list[str], first: bool) -> list[str]:
        if self.behavior == "Isolated" and self.pattern.covers:
            find = self.pattern.compiled.findall
            return find(pieces[0]) if len(pieces) == 1 else [p for q in pieces for p in find(q)]
        result: list[str] = []
        for text, spans in zip(pieces, self.pattern.find(pieces), strict=True):
            result += _cut(text, spans, self.behavior, self.invert)
        return result


@dataclass(frozen=True)
class ByteLevel:
    """GPT-2's pattern (unless ``use_regex`` is false). With ``add_prefix_space``, a piece that does
    not begin with a space gets one."""

    add_prefix_space: bool = True
    use_regex: bool = True
    spells: ClassVar[bool] = True

    def split(self, pieces: list[str], first: bool) -> list[str]:
        if self.add_prefix_space:
            pieces = [text if text.startswith(" ") else " " + text for text in pieces]
        return _find_in_each(_GPT2, pieces) if self.use_regex else pieces


@dataclass(frozen=True)
class Metaspace:
    """Writes spaces as ``replacement`` and, with ``split``, starts a piece at each.

    ``prepend_scheme`` says which pieces get a ``replacement`` in front if they have none: all
    (``always``), the one that begins the text (``first``), or none (``never``).
    """

    replacement: str = "▁"
    prepend_scheme: PrependScheme = "always"
    split_words: bool = True
    spells: ClassVar[bool] = False

    def split(self, pieces: list[str], first: bool) -> list[str]:
        mark = self.replacement
        pieces = [text.replace(" ", mark) for text in pieces]
        # How many of the pieces, counted from the front, may get the mark.
        prefixed = {"always": len(pieces), "first": int(first), "never": 0}[self.prepend_scheme]
        for at, text in enumerate(pieces[:prefixed]):
            if not text.startswith(mark):
                pieces[at] = mark + text
        if not self.split_words:
            return pieces
        words = re.compile(f"{re.escape(mark)}?[^{re.escape(mark)}]+|{re.escape(mark)}")
        return _find_in_each(words, pieces)


@dataclass(frozen=True)
class Digits:
    """Numbers apart from the rest; each digit by itself with ``individual_digits``."""

    individual_digits: bool = False
    spells: ClassVar[bool] = False

    def split(self, pieces: list[str], first: bool) -> list[str]:
        return _find_in_each(_NUMBERS[self.individual_digits], pieces)


@dataclass(frozen=True)
class Punctuation:
    """Signs apart from the rest."""

    behavior: Behavior = "Isolated"
    spells: ClassVar[bool] = False

    def split(self, pieces: list[str], first: bool) -> list[str]:
        return Split(_PUNCTUATION, self.behavior).split(pieces, first)


@dataclass(frozen=True)
class Whitespace:
    """Words and runs of signs; spaces are dropped."""

    spells: ClassVar[bool] = False

    def split(self, pieces: list[str], first: bool) -> list[str]:
        return _find_in_each(_WORDS_AND_SIGNS, pieces)


@dataclass(frozen=True)
class WhitespaceSplit:
    """The text between spaces."""

    spells: ClassVar[bool] = False

    def split(self, pieces: list[str], first: bool) -> list[str]:
        return _find_in_each(_NOT_WHITE, pieces)


@dataclass(frozen=True)
class BertPreTokenizer:
    """The text between spaces, each sign by itself (Devlin et al., 2018, arXiv 1810.04805)."""

    spells: ClassVar[bool] = False

    def split(self, pieces: list[str], first: bool) -> list[str]:
        return _find_in_each(_SIGNS_BETWEEN_SPACES, pieces)


@dataclass(frozen=True)
class Sequence:
    """One pre-tokenizer after the other."""

    pretokenizers: tuple[PreTokenizer, ...]

    @property
    def spells(self) -> bool:
        return bool(self.pretokenizers) and self.pretokenizers[-1].spells

    def split(self, pieces: list[str], first: bool) -> list[str]:
        for position, stage in enumerate(self.pretokenizers, 1):
            pieces = stage.split(pieces, first)
            if stage.spells and position < len(self.pretokenizers):
                pieces = [spell(piece.encode("utf-8")) for piece in pieces]
        return pieces


def known_pattern(pre_tokenizer: PreTokenizer | None) -> str | None:
    """The one known pattern of a byte-level pre-tokenizer, if it does nothing else."""
    match pre_tokenizer:
        case ByteLevel(add_prefix_space=False, use_regex=True):
            return GPT2
        case Sequence(
            (
                Split(pattern=pattern, behavior="Isolated"),
                ByteLevel(add_prefix_space=False, use_regex=False),
            )
        ) if pattern.covers:
            return pattern.text
    return None


def minds_first(pre_tokenizer: PreTokenizer | None) -> bool:
    """Whether it cuts the start of a text differently from the rest."""
    if isinstance(pre_tokenizer, Sequence):
        return any(map(minds_first, pre_tokenizer.pretokenizers))
    return isinstance(pre_tokenizer, Metaspace) and pre_tokenizer.prepend_scheme == "first"


def _find_in_each(pattern: re.Pattern[str] | regex.Pattern[str], pieces: list[str]) -> list[str]:
    if len(pieces) == 1:
        return pattern.findall(pieces[0])
    return [found for piece in pieces for found in pattern.findall(piece)]


def _cut(
    text: str, spans: Iterable[tuple[int, int]], behavior: Behavior, invert: bool
) -> list[str]:
    """The pieces of one text, given the ``spans`` of its matches."""
    parts: list[tuple[str, bool]] = []  # matches and the text between them, in turn
    position = 0
    for start, end in spans:
        if position < start:
            parts.append((text[position:start], invert))
        parts.append((text[start:end], not invert))
        position = end
    if position < len(text):
        parts.append((text[position:], invert))
    if behavior == "Removed":
        return [part for part, is_match in parts if part and not is_match]
    backwards = behavior == "MergedWithNext"  # is MergedWithPrevious read from the end
    groups: list[list[str]] = []
    was_match = False
    for part, is_match in reversed(parts) if backwards else parts:
        joins = {
            "Isolated": False,
            "Contiguous": is_match == was_match,
        }.get(behavior, is_match and not was_match)
        if joins and groups:
            groups[-1].append(part)
        else:
            groups.append([part])
        was_match = is_match
    if backwards:
        groups = [group[::-1] for group in reversed(groups)]
    return [piece for group in groups if (piece := "".join(group))]
