r"""Added tokens: spellings that are always one token, matched before any other step.

Most of them are *special*: ``<|im_end|>`` is an instruction to the program around the model, while
the same ten characters typed by a person are ordinary text. Others are ordinary text that should
never be cut, like ``<tool_call>`` or a run of 24 spaces. They are looked for twice: in the original
text, and (those that are ``normalized``) in the normalized text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import regex  # type: ignore[import-untyped]

from glassmind.tokenize.composed.pretokenize import WHITE

_WORD = regex.compile(r"\w")
_WHITE = frozenset(filter(re.compile(f"[{WHITE}]").match, map(chr, range(0x3001))))


@dataclass(frozen=True)
class AddedToken:
    """A spelling and how it is matched.

    ``single_word``: only with no letter or digit next to it; ``lstrip``, ``rstrip``: the white
    space on that side belongs to it; ``normalized``: it is looked for in the normalized text.
    """

    content: str
    token_id: int
    special: bool = True
    normalized: bool = False
    lstrip: bool = False
    rstrip: bool = False
    single_word: bool = False


_MOST_TRIED = 16_384
"""Characters compared at one place of a text; published tokenizers need a few hundred."""


def check_lengths(spellings: Iterable[str]) -> None:
    """Raises ``ValueError`` where looking for ``spellings`` would take too long: at each place of a
    text, every length of those that begin with its character is tried."""
    for first, of in _lengths(spellings).items():
        if sum(of) > _MOST_TRIED:
            raise ValueError(
                f"its {len(of):,} lengths of added tokens that begin with {first!r} are too many "
                "to look for"
            )


def _lengths(spellings: Iterable[str]) -> dict[str, list[int]]:
    """The lengths of the spellings that begin with a character, the longest first."""
    lengths: dict[str, set[int]] = {}
    for spelling in filter(None, spellings):
        lengths.setdefault(spelling[0], set()).add(len(spelling))
    return {first: sorted(of, reverse=True) for first, of in lengths.items()}


class AddedTokenFinder:
    """Finds added tokens in a text: the leftmost, and of those that begin together the longest.

    ``tokens`` are pairs of (spelling, token); the spelling to look for differs from the token's own
    if it was normalized.
    """

    def __init__(self, tokens: Iterable[tuple[str, AddedToken]]) -> None:
        self._token_of = {spelling: token for spelling, token in tokens if spelling}
        self._plain = [s for s, token in self._token_of.items() if not token.special]
        self._lengths = _lengths(self._token_of)
        self._first = re.compile(
            f"[{''.join(map(re.escape, self._lengths))}]" if self._lengths else "(?!)"
        )

    def split(self, text: str, special: bool) -> Iterator[str | AddedToken]:
        """The text and the tokens in it, in order. Without ``special``, special tokens stay text;
        an added token inside the spelling of one stays text too."""
        if not (special or any(plain in text for plain in self._plain)):
            if text:
                yield text
            return
        done = 0  # everything before it has been given out
        white_end = 0  # of the white space that was looked through last
        for start, end in self._find(text):
            added = self._token_of[text[start:end]]
            if added.special and not special:
                continue
            if added.single_word and (
                _WORD.match(text[start - 1 : start]) or _WORD.match(text[end : end + 1])
            ):
                continue
            if added.lstrip:
                while start > done and text[start - 1] in _WHITE:
                    start -= 1
                start = max(start, done)
            if added.rstrip:
                end = max(end, white_end)
                while end < len(text) and text[end] in _WHITE:
                    end += 1
                white_end = end
            if done < start:
                yield text[done:start]
            if start < end:  # not where the token before has taken all of its spaces
                yield added
            done = end
        if done < len(text):
            yield text[done:]

    def _find(self, text: str) -> Iterator[tuple[int, int]]:
        """Where spellings begin and end; none overlaps another."""
        position = 0
        while (candidate := self._first.search(text, position)) is not None:
            start = candidate.start()
            position = start + 1
            for length in self._lengths[text[start]]:
                if text[start : start + length] in self._token_of:
                    position = start + length
                    yield start, position
                    break
