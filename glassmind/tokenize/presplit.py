r"""The pre-split: cutting text into pieces that no token may cross.

Byte-pair encoding left alone would learn tokens such as ``dog.`` and ``dog!`` and ``dog the``:
wasteful doubles of one word. GPT-2 (Radford et al., 2019) therefore first cuts the text with a
regular expression and merges only inside the pieces. Ours is the pattern of GPT-4 (``cl100k``)
with one change. The alternatives are tried in this order at each position:

===========================================  ====================================================
``'(?:[sdmtSDMT]|[lL][lL]|...)``             English contractions: ``'s 'll 've 're``, any case
``[^\r\n\p{L}\p{N}]?\p{L}+``                 a word, taking one space or sign before it along
``\p{N}``                                    ONE digit; GPT-4 takes up to three
`` ?[^\s\p{L}\p{N}]+[\r\n]*``                punctuation, with one space before, line ends after
``\s*[\r\n]+``                               blank space up to and including line ends
``\s+(?!\S)``                                blank space, leaving the last one to the next word
``\s+``                                      whatever blank space is left
===========================================  ====================================================

Single digits are the change that matters for reasoning: with ``\p{N}{1,3}`` the number 1234 is
cut ``123|4``, so the same digit has another meaning in every token and column addition becomes a
lookup of a thousand chunks; digit by digit, the model can learn the carry (as in Llama, Touvron et
al., 2023, arXiv 2302.13971; studied by Singh and Strouse, 2024, arXiv 2402.14903).

The contractions are spelled out instead of using ``(?i:...)`` so that the ``regex`` package here
and the engine inside the ``tokenizers`` library cannot disagree about exotic case folding (the
long s, U+017F). What the two may still disagree on is whether a code point added to Unicode in
the last few years is a letter: each engine carries its own Unicode tables. Round trips are exact
either way.

Every character matches some alternative, so the pieces joined are always the text.
"""

from __future__ import annotations

from collections.abc import Iterator

import regex  # type: ignore[import-untyped]

PATTERN = (
    r"'(?:[sdmtSDMT]|[lL][lL]|[vV][eE]|[rR][eE])"
    r"|[^\r\n\p{L}\p{N}]?\p{L}+"
    r"|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+"
    r"|\s+(?!\S)"
    r"|\s+"
)

_COMPILED = regex.compile(PATTERN)
_BLOCK = 1 << 20


def presplit(text: str) -> list[str]:
    """The pieces of ``text``, in order; ``"".join(presplit(text)) == text``."""
    pieces: list[str] = _COMPILED.findall(text)
    return pieces


def blocks(text: str) -> Iterator[str]:
    """Cuts a long text into blocks of about a million characters without changing its pieces.

    A line end followed by an ASCII letter is a place where every piece ends, so pre-splitting
    the blocks gives the same pieces as pre-splitting the text, in far less memory.
    """
    start = 0
    while len(text) - start > _BLOCK:
        cut = text.find("\n", start + _BLOCK) + 1
        while 0 < cut < len(text) and not (text[cut].isascii() and text[cut].isalpha()):
            cut = text.find("\n", cut) + 1
        if not 0 < cut < len(text):
            break
        yield text[start:cut]
        start = cut
    yield text[start:]
