"""Text as runs of words, for detecting copied passages.

Whether a passage was copied should not depend on capitals, commas or line breaks. So a text is
treated as its words (runs of letters and digits, in lower case, without apostrophes), and every run
of n words, an *n-gram*, becomes one 64-bit hash. Two texts share a passage of n words if they share
such a hash; the probability that any of a corpus's billion n-grams matches one of a million by
chance is 1 in 20,000.

The hashes are the same on every machine and in every process. A script without spaces between words
(Chinese, Thai) yields few, long "words", so that only larger copies are found.
"""

from __future__ import annotations

import hashlib
import re

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]

WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_APOSTROPHES = str.maketrans("", "", "'’")
_MAX_KNOWN = 1 << 19  # cached words: about 60 MB
_FACTOR = np.uint64(0x9E3779B97F4A7C15)

_known: dict[str, int] = {}


def word_hashes(text: str) -> Hashes:
    """The hash of each word of ``text``, in order."""
    words = WORD.findall(text)
    if len(_known) > _MAX_KNOWN:
        _known.clear()
    for word in set(words).difference(_known):
        plain = word.lower().translate(_APOSTROPHES).encode("utf-8", "surrogatepass")
        _known[word] = int.from_bytes(hashlib.blake2b(plain, digest_size=8).digest(), "little")
    return np.fromiter(map(_known.__getitem__, words), np.uint64, len(words))


def ngram_hashes(words: Hashes, n: int) -> Hashes:
    """The hash of each run of ``n`` words: one for each word that has n - 1 after it.

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
    """Mixes the bits, so that each depends on all others (Steele et al. 2014, SplitMix64)."""
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return numbers ^ (numbers >> np.uint64(31))
