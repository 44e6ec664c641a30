"""Near duplicates: the same document again, with small changes.

Web text repeats itself, and a model that sees a page a hundred times memorizes it (Lee et al.
2021, arXiv 2107.06499). The similarity of two documents is the Jaccard index of their runs of five
words

    J(A, B) = |A ∩ B| / |A ∪ B|

Comparing all pairs is too slow. MinHash (Broder 1997) represents a document by K numbers: for each
of K random orders of all n-grams, the first of the document's own. Two documents agree in such a
number with probability J, so the share of the K numbers in which they agree estimates J, with a
standard error of at most 1 / (2 √K), 3 points here. Locality-sensitive hashing selects the pairs to
compare: the K numbers are cut into bands of r, and only documents that agree in a whole band are
compared, which happens to a pair with probability 1 - (1 - J^r)^(K/r): nearly always above the
threshold and rarely below. Here r is the largest that loses fewer than one pair in a hundred *at*
the threshold.

The first document of a group stays. A later one is removed if its similarity to a kept one reaches
the threshold; only kept documents are compared, so no chain of similar documents forms. Memory:
about 5 kB for each kept document, 5 GB for a million.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from glassmind.data.pretraining.word_ngrams import Hashes, mixed, ngram_hashes

SHINGLE = 5
"""Words in an n-gram."""

PERMUTATIONS = 256
"""The number of random orders, K above."""

_AT_ONCE = 1 << 16  # numbers processed together, if no document is longer
_MOST_LOST = 0.01

Signature = NDArray[np.uint32]


class Twin(NamedTuple):
    """The location of the earlier document that is repeated, and their estimated Jaccard index."""

    where: str
    similarity: float


class NearDuplicates:
    """Finds documents that repeat an earlier one, given one document after another.

    Documents with a Jaccard index of at least ``threshold``, in (0, 1], count as one.
    """

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold
        self.rows = rows_of_a_band(threshold)
        self._signatures: list[Signature] = []
        self._places: list[str] = []
        self._first: dict[int, int] = {}  # band key -> the first kept document that has it
        self._others: dict[int, list[int]] = {}  # and the others, of which there are few
        random = np.random.default_rng(0)  # fixed: every run removes the same documents
        self._factors = random.integers(0, 2**31, PERMUTATIONS, np.uint32) * 2 + 1
        self._terms = random.integers(0, 2**32, PERMUTATIONS, np.uint32)

    def signature(self, words: Hashes) -> Signature:
        """The K smallest numbers of a document given as ``word_hashes`` (one word at least).

        Documents of fewer than five words count as one n-gram.
        """
        shingles = ngram_hashes(words, min(SHINGLE, len(words)))
        folded = (shingles >> np.uint64(32)).astype(np.uint32)
        smallest = np.empty(PERMUTATIONS, np.uint32)
        step = max(1, _AT_ONCE // len(folded))
        for start in range(0, PERMUTATIONS, step):
            some = slice(start, start + step)
            # a random order: multiply-and-add modulo 2^32 of numbers that are random already
            ordered = folded * self._factors[some, None] + self._terms[some, None]
            smallest[some] = ordered.min(axis=1)
        return smallest

    def twin(self, where: str, words: Hashes) -> Twin | None:
        """The kept document that this one repeats; if there is none, this one is kept.

        ``where`` is its location, for the report. A document without words repeats nothing.
        """
        if not len(words):
            return None
        signature = self.signature(words)
        keys = _band_keys(signature, self.rows)
        met = {key: self._first[key] for key in keys if key in self._first}
        candidates = sorted({*met.values(), *(p for key in met for p in self._others.get(key, ()))})
        if candidates:
            others = np.stack([self._signatures[place] for place in candidates])
            similarity = (others == signature).mean(axis=1)
            best = int(similarity.argmax())
            if similarity[best] >= self.threshold:
                return Twin(self._places[candidates[best]], float(similarity[best]))
        for key in keys:
            if key in met:
                self._others.setdefault(key, []).append(len(self._signatures))
            else:
                self._first[key] = len(self._signatures)
        self._signatures.append(signature)
        self._places.append(where)
        return None


def rows_of_a_band(threshold: float) -> int:
    """The largest band size that loses few enough pairs at the threshold."""
    for rows in range(PERMUTATIONS // 2, 1, -1):
        if (1 - threshold**rows) ** (PERMUTATIONS // rows) <= _MOST_LOST:
            return rows
    return 1


def _band_keys(signature: Signature, rows: int) -> list[int]:
    """One key per band, distinct for bands at different positions."""
    bands = signature[: len(signature) // rows * rows].reshape(-1, rows).astype(np.uint64)
    key = np.arange(len(bands), dtype=np.uint64)
    for column in bands.T:
        key = mixed((key << np.uint64(32)) ^ key ^ column)
    return key.tolist()
