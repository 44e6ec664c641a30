r"""Unigram: the most likely segmentation of a piece, by Viterbi's algorithm.

Every token has a probability, and the probability of a segmentation is the product of those of its
tokens, as if they were drawn independently: a *unigram language model* (Kudo, 2018,
arXiv 1804.10959; T5, ALBERT, XLM-R). Encoding finds the cut with the largest product, in
logarithms the largest sum. There are exponentially many cuts, but the best one up to a place only
needs the best ones up to earlier places (Viterbi, 1967), so one pass over the piece finds it:

    best[end] = max over tokens that stand at start..end of  best[start] + log p(token)

A character that no token covers becomes the unknown token, with a log-probability ten below that of
the rarest token. A table of token lengths limits the places where a token can start and end, so
that the time is linear in the length of the piece, not quadratic.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from glassmind.errors import UserError

_UNKNOWN_PENALTY = 10.0  # as in SentencePiece
_MAX_LENGTH = 1000  # characters of a token: at each place, every length may have to be tried


def _to_single(value: float) -> float:
    """The nearest number that a 32-bit float can hold."""
    single: float = struct.unpack("f", struct.pack("f", value))[0]
    return single


@dataclass(frozen=True)
class Chosen:
    """One token of a segmentation."""

    text: str
    score: float
    """Its log-probability, or the unknown token's penalty."""
    token_id: int | None
    """``None``: no token covers it."""


class Unigram:
    """A vocabulary with log-probabilities.

    ``scored`` are (token, log-probability) in order of id (of a token listed twice the last
    counts), ``unk_id`` the unknown token's id if there is one. With ``byte_fallback`` an unknown
    character is written as its bytes (``<0xE2>``), if all of them are tokens. ``never`` are ids
    that are not used for text; ``favoured`` are those of user-defined symbols, which get the best
    token's score for each of their bytes and so are nearly always chosen.
    ``single_precision`` sums in 32-bit floats as SentencePiece does; otherwise in 64 bits, as the
    ``tokenizers`` library does. Raises ``ValueError`` for an empty vocabulary, an ``unk_id``
    outside it, and for extremely long tokens.
    """

    def __init__(
        self,
        scored: Sequence[tuple[str, float]],
        unk_id: int | None,
        *,
        byte_fallback: bool = False,
        never: frozenset[int] = frozenset(),
        favoured: frozenset[int] = frozenset(),
        single_precision: bool = False,
    ) -> None:
        if not scored or (unk_id is not None and not 0 <= unk_id < len(scored)):
            raise ValueError("a unigram vocabulary needs tokens, and its unknown token among them")
        self.scored, self.unk_id, self.byte_fallback = tuple(scored), unk_id, byte_fallback
        self.never, self.favoured = never, favoured
        self.vocab = {token: token_id for token_id, (token, _) in enumerate(self.scored)}
        if max(map(len, self.vocab)) > _MAX_LENGTH:
            raise ValueError(f"a token is longer than {_MAX_LENGTH} characters")
        odd = never | favoured
        used = [score for i, (_, score) in enumerate(self.scored) if i not in odd]
        self._round: Callable[[float], float] = _to_single if single_precision else float
        self._unknown_score = self._round(min(used, default=0.0) - _UNKNOWN_PENALTY)
        highest = max(used, default=0.0)
        self._unknown = next((t for t, token_id in self.vocab.items() if token_id == unk_id), None)
        self._score: dict[str, float] = {}
        lengths: dict[str, set[int]] = {}  # of the tokens that begin with a character
        for token, token_id in self.vocab.items():
            if token_id in never or not token:
                continue
            score = self.scored[token_id][1]
            if token_id in favoured:
                score = len(token.encode("utf-8")) * highest - 0.1
            self._score[token] = score
            lengths.setdefault(token[0], set()).add(len(token))
        self._lengths = {first: sorted(of) for first, of in lengths.items()}
        self._byte_ids = [self.vocab.get(f"<0x{byte:02X}>") for byte in range(256)]

    def encode_piece(self, piece: str) -> list[int]:
        """Ids of one piece. Raises ``UserError`` where a character has no token and the vocabulary
        no unknown token."""
        ids: list[int] = []
        for part in self.best_path(piece):
            # A run of unknown characters can spell a token that is not used for text.
            token_id = self.vocab.get(part.text) if part.token_id is None else part.token_id
            if token_id is not None and token_id not in self.never:
                ids.append(token_id)
                continue
            as_bytes = [self._byte_ids[byte] for byte in part.text.encode("utf-8")]
            if self.byte_fallback and None not in as_bytes:
                ids += [token_id for token_id in as_bytes if token_id is not None]
            elif self.unk_id is not None:
                ids.append(self.unk_id)
            else:
                raise UserError(
                    f"the tokenizer has no token for {part.text[:20]!r} and no unknown token; use "
                    "a tokenizer that has one"
                )
        return ids

    def best_path(self, piece: str) -> list[Chosen]:
        """The most likely segmentation of ``piece``; a run of unknown characters is one part."""
        n = len(piece)
        best: list[float] = [0.0] * (n + 1)
        came_from = [-1] * (n + 1)  # where the last token of the best cut up to here begins
        known = [True] * (n + 1)
        score_of, rounded = self._score.get, self._round
        for start in range(n):
            here, single = best[start], False
            for length in self._lengths.get(piece[start], ()):
                end = start + length
                if end > n:
                    break
                score = score_of(piece[start:end])
                if score is None:
                    continue
                single = single or length == 1
                total = rounded(score + here)
                if came_from[end] < 0 or total > best[end]:
                    best[end], came_from[end] = total, start
                    known[end] = piece[start:end] != self._unknown
            end = start + 1
            unknown = rounded(self._unknown_score + here)
            if not single and (came_from[end] < 0 or unknown > best[end]):
                best[end], came_from[end], known[end] = unknown, start, False
        path: list[Chosen] = []
        end = n
        while end > 0:
            start = came_from[end]
            if known[end]:
                text = piece[start:end]
                path.append(Chosen(text, self._score[text], self.vocab[text]))
            else:
                first = start
                while first > 0 and not known[first]:
                    first = came_from[first]
                start = first
                path.append(Chosen(piece[start:end], self._unknown_score * (end - start), None))
            end = start
        return path[::-1]
