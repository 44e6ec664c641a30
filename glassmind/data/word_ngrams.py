"""Text as runs of words, for telling that two texts say the same.

Whether a passage was copied should not hang on capitals, commas or line breaks. A text is therefore
looked at as its words (runs of letters and digits, in small letters, apostrophes dropped), and
every run of n words, an *n-gram*, becomes one 64-bit number. Two texts share a passage of n words
if they share such a number; that a billion n-grams of a corpus meet one of a million by chance has
a probability of 1 in 20,000.

The numbers are the same on every machine and in every process. A script that puts no spaces between
its words (Chinese, Thai) gives few and long "words"; there these methods see only larger copies.
"""

from __future__ import annotations

import hashlib
import re

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]

WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_APOSTROPHES = str.maketrans("", "", "'’")
_MAX_KNOWN = 1 << 19  # words remembered: about 60 MB
_FACTOR = np.uint64(0x9E3779B97F4A7C15)

_known: dict[str, int] = {}


def word_hashes(text: str) -> Hashes:
    """A number for each word of ``text``, in order."""
    words = WORD.findall(text)
    if len(_known) > _MAX_KNOWN:
        _known.clear()
    for word in set(words).difference(_known):
        plain = word.lower().translate(_APOSTROPHES).encode("utf-8", "surrogatepass")
        _known[word] = int.from_bytes(hashlib.blake2b(plain, digest_size=8).digest(), "little")
    return np.fromiter(map(_known.__getitem__, words), np.uint64, len(words))


def ngram_hashes(words: Hashes, n: int) -> Hashes:
    """A number for each run of ``n`` words: one for each word that has n - 1 behind it.

    The words are the coefficients of a polynomial modulo 2^64, and ``mixed`` spreads the result.
    """
    count = len(words) - n + 1
    if count < 1:
        return words[:0]
    total = np.zeros(count, np.uint64)
    for place in range(n):
        total = total * _FACTOR + words[place : place + count]
    return mixed(total)


def mixed(numbers: Hashes) -> Hashes:
    """Every bit of a number made to depend on all of it (Steele et al. 2014, SplitMix64)."""
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return numbers ^ (numbers >> np.uint64(31))
