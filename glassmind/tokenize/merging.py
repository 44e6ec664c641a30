"""The heart of byte-pair encoding: from small tokens to large ones, in the order learned.

A *merge* says "token a followed by token b becomes token c". Encoding a piece applies the
earliest-learned merge that fits anywhere, at its leftmost place, and again, until none fits. What
the smallest tokens are (bytes in GPT-2, characters in SentencePiece) does not matter here.

- A piece of up to 48 tokens is merged by scanning all its pairs for the best one again and again:
  quadratic, but on so few the fastest way.
- A longer piece (a megabyte without a space, say) is kept as a linked list, with a heap of
  candidate merges: n log n.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Sequence

SCAN_LIMIT = 48  # tokens; above it the heap wins


class MergeTable:
    """Which neighbours join, in which order, and into what.

    ``merges`` are ``(left, right, product)`` ids, the earliest learned first. Raises ``ValueError``
    for an id outside ``range(vocab_size)`` or a pair listed twice.
    """

    def __init__(self, merges: Sequence[tuple[int, int, int]], vocab_size: int) -> None:
        # A pair (a, b) is looked up as the single number a * vocab_size + b: hashing an int is
        # several times faster than making and hashing a tuple.
        self._vocab_size = vocab_size
        self._rank_of_pair: dict[int, int] = {}
        self._product: list[int] = []
        for rank, merge in enumerate(merges):
            if not (min(merge) >= 0 and max(merge) < vocab_size):
                raise ValueError(f"merge {rank} names an id outside the vocabulary")
            left, right, product = merge
            self._rank_of_pair[left * vocab_size + right] = rank
            self._product.append(product)
        if len(self._rank_of_pair) != len(self._product):
            raise ValueError("a merge is listed twice")

    def merge(self, ids: list[int]) -> list[int]:
        """The ids that remain when nothing more can be joined; may change ``ids`` itself."""
        if len(ids) <= SCAN_LIMIT:
            return self._merge_by_scan(ids)
        return self._merge_by_heap(ids)

    def _merge_by_scan(self, ids: list[int]) -> list[int]:
        """Merges in place: find the best pair, merge it, until no pair has a rank."""
        rank_of_pair, size = self._rank_of_pair, self._vocab_size
        no_rank = len(self._product)
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
        rank_of_pair, size, n = self._rank_of_pair, self._vocab_size, len(ids)
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
