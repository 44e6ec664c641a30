r"""Patterns: the regular expressions that tokenizers cut text with.

A vocabulary is only half of a tokenizer; the other half is a regular expression that says which
boundaries no token may cross. The common ones are listed here by name, because several formats (a
tiktoken rank file, a GGUF) hold only the vocabulary and expect the reader to know the expression.

A tokenizer file from elsewhere can carry any expression, and a regular expression is a small
program: ``(a|aa)+[bc]`` on a hundred letters ``a`` runs practically forever. So an expression that
is not listed here is matched under a time limit, which raises ``UserError``. Expressions in files
are written for another engine (Oniguruma, in Ruby's dialect, inside the ``tokenizers`` library).
Where Ruby's syntax means something else in the ``regex`` package it is translated, or refused if
that is impossible. The two engines agree on character classes up to the Unicode version: a letter
added after the other engine was built is a letter here and not there.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import regex  # type: ignore[import-untyped]

from glassmind.errors import UserError
from glassmind.tokenize.bpe.presplit import PATTERN

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"  # Radford 2019
_LETTERS_AND_BEFORE = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+"
_SIGNS_AND_SPACES = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
CL100K = rf"{_LETTERS_AND_BEFORE}|\p{{N}}{{1,3}}|{_SIGNS_AND_SPACES}"
"""GPT-4 (tiktoken's ``cl100k_base``) and Llama 3: up to three digits together."""
QWEN2 = rf"{_LETTERS_AND_BEFORE}|\p{{N}}|{_SIGNS_AND_SPACES}"
"""Qwen 2 and 3: the same with single digits."""
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
O200K = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    rf"|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""GPT-4o (``o200k_base``): a capital begins a new word."""

TEKKEN = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""Mistral's from 2024 on: GPT-4o's without the English endings, and with single digits."""

COVERING = frozenset({PATTERN, GPT2, CL100K, QWEN2, O200K, TEKKEN})
"""Known patterns in which every character matches something: the matches joined are the text. All
of them run in bounded time."""

MAX_GROWTH = 64
"""The largest factor by which replacing may lengthen a text."""

_SMALL = 256  # characters: a text may always become that long
_MAX_LENGTH = 10_000  # characters of a stranger's pattern
_MAX_EXPANDED = 10_000  # items of one, when its repeats are written out: some 3 MB
_SECONDS = 2.0  # that one may take for a text, and as much again for each of its megabytes


class PatternError(ValueError):
    """A pattern that cannot be used; the message continues ``... pattern {message}``."""


@dataclass(frozen=True)
class Pattern:
    """What to look for: a regular expression, or (``is_regex`` false) a literal string.

    Raises ``PatternError`` for an expression that does not compile.
    """

    text: str
    is_regex: bool = True

    def __post_init__(self) -> None:
        _ = self.compiled  # a bad pattern is found when the file is read, not when text comes

    @property
    def covers(self) -> bool:
        """Whether the pattern is one of ours whose matches joined are the text."""
        return self.is_regex and self.text in COVERING

    @cached_property
    def compiled(self) -> Any:
        """The pattern compiled by the ``regex`` package; ``None`` for the empty string, which
        matches nowhere."""
        if not self.is_regex:
            return regex.compile(regex.escape(self.text)) if self.text else None
        if self.covers:
            return regex.compile(self.text)
        if len(self.text) > _MAX_LENGTH:
            raise PatternError(f"is longer than {_MAX_LENGTH} characters")
        source = _from_ruby(self.text)
        try:
            return regex.compile(source, regex.MULTILINE)  # in Ruby ^ and $ are always so
        except (regex.error, RecursionError, ArithmeticError, LookupError, ValueError) as error:
            raise PatternError(f"is not a regular expression: {error}") from None

    def find(self, texts: Iterable[str]) -> Iterator[list[tuple[int, int]]]:
        """For each text the (start, end) of the matches, left to right. There is no empty match
        right after another match.

        Raises ``UserError`` when an unknown pattern takes too long over all texts together.
        """
        if self.compiled is None:
            yield from ([] for _ in texts)
            return
        if self.covers or not self.is_regex:
            for text in texts:
                yield _spans(self.compiled.finditer(text))
            return
        texts = list(texts)
        limit = _SECONDS * (1 + sum(map(len, texts)) / 1e6)
        deadline = time.monotonic() + limit
        for text in texts:
            left = max(deadline - time.monotonic(), 1e-3)
            try:
                yield _spans(self.compiled.finditer(text, timeout=left))
            except TimeoutError:
                raise UserError(
                    f"the tokenizer's pattern {self.text[:80]!r} took more than {limit:.0f} s on a "
                    "text of this length; use a tokenizer with a pattern that ends"
                ) from None

    def replace(self, texts: Iterable[str], content: str) -> list[str]:
        """Each text with every match replaced by ``content`` (literal, without groups).

        Raises ``UserError`` where that makes a text more than ``MAX_GROWTH`` times as long.
        """
        texts = list(texts)
        if not self.is_regex and self.text:
            if len(content) > len(self.text):
                more = len(content) - len(self.text)
                for text in texts:
                    check_growth(len(text), len(text) + text.count(self.text) * more)
            return [text.replace(self.text, content) for text in texts]
        return [
            _with_replaced(text, spans, content) if spans else text
            for text, spans in zip(texts, self.find(texts), strict=True)
        ]


def check_growth(before: int, after: int) -> None:
    """Raises ``UserError`` where a tokenizer's rules make a text of ``before`` characters too long:
    a few rules that double every letter would exhaust memory."""
    if after > max(_SMALL, MAX_GROWTH * before):
        raise UserError(
            f"the tokenizer's rules make a text more than {MAX_GROWTH} times as long; use a "
            "tokenizer whose rules do not"
        )


def _spans(matches: Iterable[Any]) -> list[tuple[int, int]]:
    spans: list[tuple[int, int]] = []
    for match in matches:
        start, end = match.span()
        if start < end or not spans or spans[-1][1] < start:
            spans.append((start, end))
    return spans


def _with_replaced(text: str, spans: list[tuple[int, int]], content: str) -> str:
    check_growth(len(text), len(text) + len(spans) * len(content))
    parts: list[str] = []
    position = 0
    for start, end in spans:
        parts += (text[position:start], content)
        position = end
    parts.append(text[position:])
    return "".join(parts)


# One step of reading an expression: an escape, a comment, the start or end of a set, a group with
# flags, a group that calls another (the whole, or one by number or name), a counted repeat (and one
# followed by a plus), or any other character.
_STEP = re.compile(
    r"\\(?:[pP]\{[^}]*\}|.)|\(\?\#[^)]*\)|\[:\^?\w+:\]|\[\^?\]?|\]|&&|\(\?[a-z-]*m[a-z-]*[:)]"
    r"|\(\?(?:R|[+-]?\d+|&|P>)|\{\d*,?\d*\}\+|\{(?:\d+,?\d*|,\d+)\}|.",
    re.DOTALL,
)
_SPELLED_OTHERWISE = {  # outside a set, inside one
    r"\h": ("[0-9A-Fa-f]", "0-9A-Fa-f"),
    r"\H": ("[^0-9A-Fa-f]", None),
    r"\g": (None, None),  # Ruby's call of a group; in the regex package it is something else
    r"\z": (r"\Z", None),
    r"\Z": (r"(?=\n?\Z)", None),
    "{": (r"\{", "{"),  # no repeat: in the regex package it could begin an approximate match
}


def _from_ruby(source: str) -> str:
    """The same expression in the dialect of the ``regex`` package."""
    out: list[str] = []
    size = _Size(verbose=_VERBOSE.search(source) is not None)
    in_set = False
    for step in _STEP.findall(source):
        translated: str | None = step
        if step in _SPELLED_OTHERWISE:
            translated = _SPELLED_OTHERWISE[step][in_set]
        elif step.startswith("[") and not step.startswith("[:"):
            translated, in_set = (None if in_set else step), True
        elif step == "]":
            in_set = False
        elif step == "&&" and in_set:
            translated = None
        elif not in_set and (step.startswith("(?") or step.endswith("}+")):
            # Ruby's (?m) is a dot that matches line ends, its {1,3}+ repeats. Calls of groups can
            # recurse without end.
            translated = step if step.startswith("(?#") else None
        if translated is None:
            raise PatternError(f"uses {step!r} in a way that has no counterpart here")
        if not in_set:
            size.add(step)
        out.append(translated)
    return "".join(out)


_VERBOSE = re.compile(r"\(\?[a-z-]*x")


class _Size:
    """How large an expression is when its counted repeats are written out, as the ``regex``
    package does when it compiles one.

    Raises ``PatternError`` beyond ``_MAX_EXPANDED`` items.
    """

    def __init__(self, verbose: bool) -> None:
        self.verbose = verbose  # parentheses may stand in comments: as if all repeats were nested
        self.product = 1
        self.open = [[0, 0]]  # for each open group: items in it, and those of the last one

    def add(self, step: str) -> None:
        """Count one step of ``_STEP`` that is not inside a set."""
        if step == "(":
            self.open.append([0, 0])
        elif step == ")" and len(self.open) > 1:
            inside, _ = self.open.pop()
            self._item(inside + 1)
        elif step[0] == "{" and len(step) > 1:
            times = max(1, *(int(n[:9]) for n in re.findall(r"\d+", step)))
            self.product *= times
            group = self.open[-1]
            group[0] += group[1] * (times - 1)
            group[1] *= times
        else:
            self._item(1)
        if (self.product if self.verbose else self.open[-1][0]) > _MAX_EXPANDED:
            raise PatternError(f"repeats its parts more than {_MAX_EXPANDED} times")

    def _item(self, size: int) -> None:
        self.open[-1][0] += size
        self.open[-1][1] = size
