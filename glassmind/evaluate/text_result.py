"""How probable a text is: what is reported of it.

A perplexity by token depends on the tokenizer. Divided by the number of words or bytes of the text,
the same log-probability can be compared between models (Gao et al. 2020, The Pile, arXiv
2101.00027: bits per byte).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from glassmind.evaluate.provenance import Provenance

_SPACE = re.compile(r"\s+")


def words_of(text: str) -> int:
    """Words as lm-eval counts them for WikiText: the pieces between white space."""
    return len(_SPACE.split(text))


@dataclass(frozen=True, slots=True)
class DocumentResult:
    """One document: its log-probability (natural log) and sizes."""

    document: int
    logprob: float
    tokens: int
    words: int
    bytes: int


@dataclass(frozen=True, slots=True)
class TextResult:
    """All documents of a task together."""

    provenance: Provenance
    documents: tuple[DocumentResult, ...]

    @property
    def logprob(self) -> float:
        """Natural log of the probability of all documents."""
        return math.fsum(one.logprob for one in self.documents)

    def _per(self, sizes: Sequence[int]) -> float:
        return math.exp(-self.logprob / sum(sizes))

    @property
    def token_perplexity(self) -> float:
        return self._per([one.tokens for one in self.documents])

    @property
    def word_perplexity(self) -> float:
        return self._per([one.words for one in self.documents])

    @property
    def byte_perplexity(self) -> float:
        return self._per([one.bytes for one in self.documents])

    @property
    def bits_per_byte(self) -> float:
        return -self.logprob / sum(one.bytes for one in self.documents) / math.log(2)

    def figures(self) -> dict[str, float]:
        """Name and value of everything that is measured."""
        return {
            "documents": len(self.documents),
            "tokens": sum(one.tokens for one in self.documents),
            "words": sum(one.words for one in self.documents),
            "bytes": sum(one.bytes for one in self.documents),
            "token_perplexity": self.token_perplexity,
            "word_perplexity": self.word_perplexity,
            "byte_perplexity": self.byte_perplexity,
            "bits_per_byte": self.bits_per_byte,
        }

    def __str__(self) -> str:
        return "\n".join(
            f"{name.replace('_', ' '):<18}{value:>14,.4f}"
            if isinstance(value, float)
            else f"{name:<18}{value:>14,}"
            for name, value in self.figures().items()
        )
