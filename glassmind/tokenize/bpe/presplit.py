r"""The pre-split: cutting text into pieces that no token may cross.

Without it, byte-pair encoding would learn tokens such as ``dog.`` and ``dog!`` and ``dog the``:
wasteful variants of one word. GPT-2 (Radford et al., 2019) therefore first cuts the text with a
regular expression and merges only inside the pieces. Ours is the pattern of GPT-4 (``cl100k``)
with one change. The alternatives are tried in this order at each position:

===========================================  ====================================================
``'(?:[sdmtSDMT]|[lL][lL]|...)``             English contractions: ``'s 'll 've 're``, any case
``[^\r\n\p{L}\p{N}]?\p{L}+``                 a word, with one space or sign before it
``\p{N}``                                    ONE digit; GPT-4 takes up to three
`` ?[^\s\p{L}\p{N}]+[\r\n]*``                punctuation, with one space before, line ends after
``\s*[\r\n]+``                               blank space up to and including line ends
``\s+(?!\S)``                                blank space, leaving the last one to the next word
``\s+``                                      all other blank space
===========================================  ====================================================

Single digits are the change that matters for reasoning: with ``\p{N}{1,3}`` the number 1234 is
cut ``123|4``, so the same digit has another meaning in every token and column addition becomes a
lookup of a thousand chunks; digit by digit, the model can learn the carry (as in Llama, Touvron et
al., 2023, arXiv 2302.13971; studied by Singh and Strouse, 2024, arXiv 2402.14903).

The contractions are spelled out instead of using ``(?i:...)`` so that the ``regex`` package here
and the engine inside the ``tokenizers`` library cannot disagree about exotic case folding (the
long s, U+017F). The two may still disagree on whether a code point added to Unicode in the last few
years is a letter: each engine has its own Unicode tables. Round trips are exact either way.

Every character matches some alternative, so the pieces joined are always the text.

**Certain cuts.** The full pattern is slow to match, but two neighbouring characters are enough to
find some of its cuts, in this pattern and in those of GPT-2, GPT-4, GPT-4o, Llama 3 and Qwen:

- before a space that follows no white space: no alternative goes on with a space after anything
  else;
- after an ASCII letter, where an ASCII character follows that is neither letter nor apostrophe: the
  letters end there, and only contractions such as ``'s`` continue after a sign.

Text left of such a cut is cut the same way whatever follows, because the only alternative that
looks ahead, ``\s+(?!\S)``, ends in white space; text right of it begins a piece. So text may be
cut roughly at certain cuts first (``rough_cut``), then each *distinct* rough piece exactly, and the
pieces are the same. Most rough pieces need no second cut: a lower-case word, with an optional
capital and an optional space in front, is one piece for all of these patterns (``is_word``). A
piece that they cut from a text also stays whole when it is cut again by itself.
"""

from __future__ import annotations

import re
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

# A word that ends in a certain cut, or else everything up to a space that follows no white space
# (the spaces before it included), or the white space at the end of the text. The possessive plus
# never backtracks, so the search is linear on any text. White space is what Python's ``isspace``
# accepts: slightly more than the patterns do, which only means fewer cuts.
_ROUGH = re.compile(
    r" *+[A-Za-z]++(?!['\x80-\U0010ffff])"
    r"|\s*+\S++(?:[^\S ]\s*+\S*+)*+"
    r"|\s++"
)
_BLOCK = 1 << 20

is_word = re.compile(" ?[A-Z]?[a-z]+").fullmatch
"""Whether a text is known to be one piece."""


def presplit(text: str) -> list[str]:
    """The pieces of ``text``, in order; ``"".join(presplit(text)) == text``."""
    pieces: list[str] = _COMPILED.findall(text)
    return pieces


def rough_cut(text: str) -> list[str]:
    """``text`` cut at certain cuts: the pieces of what this returns are the pieces of ``text``."""
    return _ROUGH.findall(text)


def blocks(text: str) -> Iterator[str]:
    """Cuts a long text at certain cuts into blocks of about a million characters: working through
    them one by one takes far less memory. A text without spaces stays whole."""
    start = 0
    while len(text) - start > _BLOCK:
        cut = text.find(" ", start + _BLOCK)
        while cut > 0 and text[cut - 1].isspace():
            cut = text.find(" ", cut + 1)
        if cut < 0:
            break
        yield text[start:cut]
        start = cut
    yield text[start:]
