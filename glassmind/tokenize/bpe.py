"""Byte-level byte-pair encoding: from text to ids and exactly back.

BPE (Gage, 1994; for language models Sennrich et al., 2016, arXiv 1508.07909; on bytes Radford et
al., 2019) starts from the 256 bytes and an ordered list of *merges*: "token a followed by token b
becomes token c". Encoding a piece of text applies the earliest-learned merge that fits anywhere,
at its leftmost place, and again, until none fits. Because the start is bytes, nothing is unknown.

Three things make it fast here:

- Pieces from the pre-split (``presplit.py``) are short and repeat, so their ids are remembered
  in a bounded table. On ordinary text almost every piece is a table lookup.
- A piece of up to 48 bytes is merged by scanning all its pairs for the best one again and again:
  quadratic, but on so few bytes the fastest way.
- A longer piece (a megabyte without a space, say) is kept as a linked list, with a heap of
  candidate merges: n log n.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable, Sequence

from glassmind.tokenize import utf8
from glassmind.tokenize.base import TokenTable
from glassmind.tokenize.presplit import presplit

_SCAN_LIMIT = 48  # bytes; above it the heap wins
_MAX_PIECES = 1 << 16  # remembered pieces; at most a few tens of megabytes


class BPETokenizer(TokenTable):
    """A byte-level BPE tokenizer.

    ``tokens`` are the byte strings of the ids after the special ones, in order of id, and must
    include all 256 single bytes. ``merges`` are pairs of ids, the earliest learned first; what a
    pair becomes is the token whose bytes are those of both. Raises ``ValueError`` where that
    does not hold, or where a merge is repeated or names a special token.
    """

    def __init__(self, tokens: Sequence[bytes], merges: Sequence[tuple[int, int]]) -> None:
        super().__init__(tokens)
        self.merges: tuple[tuple[int, int], ...] = tuple(merges)
        try:
            self._byte_ids = [self._id_of[bytes([byte])] for byte in range(256)]
        except KeyError as error:
            raise ValueError(f"the vocabulary lacks the byte {error.args[0]!r}") from None
        # A pair (a, b) is looked up as the single number a * vocab_size + b: hashing an int is
        # several times faster than making and hashing a tuple.
        self._rank_of_pair: dict[int, int] = {}
        self._product: list[int] = []
        for rank, (left, right) in enumerate(self.merges):
            if not (0 <= left < self.vocab_size and 0 <= right < self.vocab_size):
                raise ValueError(f"merge {rank} names an id outside the vocabulary")
            left_bytes, right_bytes = self._token_bytes[left], self._token_bytes[right]
            if not left_bytes or not right_bytes:
                raise ValueError(f"merge {rank} names a special token")
            product = self._id_of.get(left_bytes + right_bytes)
            if product is None:
                raise ValueError(f"merge {rank} makes a token that is not in the vocabulary")
            self._rank_of_pair[left * self.vocab_size + right] = rank
            self._product.append(product)
        if len(self._rank_of_pair) != len(self.merges):
            raise ValueError("a merge is listed twice")
        self._pieces = _PieceTable(self)

    def encode(self, text: str | bytes) -> list[int]:
        """Ids of ``text``; never a special token."""
        ids: list[int] = []
        pieces = self._pieces
        if isinstance(text, str):
            try:
                for piece in presplit(text):
                    ids += pieces[piece]
                return ids
            except UnicodeEncodeError:  # lone surrogates: not text, so take the road for bytes
                return self.encode(utf8.to_bytes(text))
        for run, bad_bytes in utf8.runs(text):
            for piece in presplit(run):
                ids += pieces[piece]
            ids.extend(self._byte_ids[byte] for byte in bad_bytes)
        return ids

    def encode_batch(self, texts: Iterable[str | bytes]) -> list[list[int]]:
        """``encode`` of each text."""
        return [self.encode(text) for text in texts]

    def encode_piece(self, piece: bytes) -> list[int]:
        """Ids of bytes that the pre-split would not cut, without looking into the table."""
        ids = [self._byte_ids[byte] for byte in piece]
        if len(ids) <= _SCAN_LIMIT:
            return self._merge_by_scan(ids)
        return self._merge_by_heap(ids)

    def _merge_by_scan(self, ids: list[int]) -> list[int]:
        """Merges in place: find the best pair, merge it, until no pair has a rank."""
        rank_of_pair, size = self._rank_of_pair, self.vocab_size
        no_rank = len(self.merges)
        ranks = [
            rank_of_pair.get(left * size + right, no_rank)
            for left, right in itertools.pairwise(ids)
        ]
        while ranks:
            best = min(ranks)
            if best == no_rank:
                break
            at = ranks.index(best)  # the leftmost
            merged = ids[at] = self._product[best]
            del ids[at + 1], ranks[at]
            if at:
                ranks[at - 1] = rank_of_pair.get(ids[at - 1] * size + merged, no_rank)
            if at < len(ranks):
                ranks[at] = rank_of_pair.get(merged * size + ids[at + 1], no_rank)
        return ids

    def _merge_by_heap(self, ids: list[int]) -> list[int]:
        """The same result in n log n: a linked list of tokens and a heap of candidate merges.

        A heap entry is ``rank * n + position``, so that the smallest is the lowest rank, leftmost.
        Entries are not removed when a neighbour's merge makes them stale; they are recognised when
        they come up, because the pair now at that position has another rank.
        """
        rank_of_pair, size, n = self._rank_of_pair, self.vocab_size, len(ids)
        following = list(range(1, n + 1))  # n means: none
        preceding = list(range(-1, n - 1))  # -1 means: none
        heap = []
        for at in range(n - 1):
            rank = rank_of_pair.get(ids[at] * size + ids[at + 1])
            if rank is not None:
                heap.append(rank * n + at)
        heapq.heapify(heap)
        while heap:
            rank, at = divmod(heapq.heappop(heap), n)
            right = following[at]
            if (
                ids[at] < 0  # swallowed by its left neighbour
                or right == n
                or rank_of_pair.get(ids[at] * size + ids[right]) != rank
            ):
                continue
            merged = ids[at] = self._product[rank]
            ids[right] = -1
            after = following[at] = following[right]
            if after < n:
                preceding[after] = at
                new_rank = rank_of_pair.get(merged * size + ids[after])
                if new_rank is not None:
                    heapq.heappush(heap, new_rank * n + at)
            before = preceding[at]
            if before >= 0:
                new_rank = rank_of_pair.get(ids[before] * size + merged)
                if new_rank is not None:
                    heapq.heappush(heap, new_rank * n + before)
        return [token_id for token_id in ids if token_id >= 0]


class _PieceTable(dict[str, list[int]]):
    """Remembers the ids of short pieces; forgets them all when there are too many."""

    def __init__(self, tokenizer: BPETokenizer) -> None:
        super().__init__()
        self._tokenizer = tokenizer

    def __missing__(self, piece: str) -> list[int]:
        ids = self._tokenizer.encode_piece(piece.encode("utf-8"))
        if len(piece) <= _SCAN_LIMIT:
            if len(self) >= _MAX_PIECES:
                self.clear()
            self[piece] = ids
        return ids
