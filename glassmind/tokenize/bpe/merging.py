"""Byte-pair encoding's merge step: joining small tokens into large ones, in the order learned.

A *merge* says "token a followed by token b becomes token c". Encoding a piece applies the
earliest-learned merge that applies anywhere, at its leftmost place, and repeats until none applies.
The smallest tokens may be bytes (GPT-2) or characters (SentencePiece).

- A piece of up to 48 tokens is merged by repeatedly scanning all its pairs for the best one:
  quadratic, but fastest at this size.
- A longer piece (a megabyte without a space, say) is kept as a linked list, with a heap of the
  ranks that can be merged and their places: O(n log n).
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Sequence

_SCAN_LIMIT = 48  # tokens; above it the heap is faster


class MergeTable:
    """Which neighbours merge, in which order, and into which token.

    ``merges`` are ``(left, right, product)`` ids, the earliest learned first. Raises ``ValueError``
    for an id outside ``range(vocab_size)`` or a pair listed twice.
    """

    def __init__(self, merges: Sequence[tuple[int, int, int]], vocab_size: int) -> None:
        # A pair (a, b) is looked up as the single number a * vocab_size + b: hashing an int is
        # several times faster than making and hashing a tuple.
        self._vocab_size = vocab_size
        self._rank_of_pair: dict[int, int] = {}
        self._pairs: list[int] = []
        self._product: list[int] = []
        for rank, merge in enumerate(merges):
            if not (min(merge) >= 0 and max(merge) < vocab_size):
                raise ValueError(f"merge {rank} names an id outside the vocabulary")
            left, right, product = merge
            pair = left * vocab_size + right
            self._rank_of_pair[pair] = rank
            self._pairs.append(pair)
            self._product.append(product)
        if len(self._rank_of_pair) != len(self._product):
            raise ValueError("a merge is listed twice")

    def rank(self, left: int, right: int) -> int | None:
        """When the merge of two ids was learned, from 0; ``None`` if they do not join."""
        return self._rank_of_pair.get(left * self._vocab_size + right)

    def product(self, rank: int) -> int:
        """The id that the merge of this rank produces."""
        return self._product[rank]

    def merge(self, ids: list[int]) -> list[int]:
        """The ids after all merges; may change ``ids`` in place."""
        if len(ids) <= _SCAN_LIMIT:
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
        """The same result in n log n: a linked list of tokens, and for each rank the places where
        its pair stands, with a heap for the lowest rank and one for its leftmost place.

        A place is not removed when a neighbour's merge makes it stale; this is detected when the
        place is popped, because another pair is there by then. Negative numbers never form a pair:
        a token merged into its left neighbour is -1, and the sentinel beyond both ends (index n,
        which index -1 also reaches in Python) is ``-size * size``.
        """
        rank_of_pair, size, n = self._rank_of_pair, self._vocab_size, len(ids)
        ids.append(-size * size)
        following = list(range(1, n + 1))
        preceding = list(range(-1, n))
        places: dict[int, list[int]] = {}
        for at, (left, right) in enumerate(itertools.pairwise(ids)):
            rank = rank_of_pair.get(left * size + right)
            if rank is not None:
                places.setdefault(rank, []).append(at)
        heap = list(places)
        heapq.heapify(heap)
        while heap:
            rank = heap[0]
            pair, merged = self._pairs[rank], self._product[rank]
            todo = places[rank]  # ascending, hence a heap too
            while todo and heap[0] == rank:  # a merge may make an earlier-learned one possible
                at = heapq.heappop(todo)
                right = following[at]
                if ids[at] * size + ids[right] != pair:
                    continue
                ids[at] = merged
                ids[right] = -1
                after = following[at] = following[right]
                preceding[after] = at
                before = preceding[at]
                new_pairs = (ids[before] * size + merged, before), (merged * size + ids[after], at)
                for new_pair, place in new_pairs:
                    new_rank = rank_of_pair.get(new_pair)
                    if new_rank is None:
                        continue
                    if new_rank in places:
                        heapq.heappush(places[new_rank], place)
                    else:
                        places[new_rank] = [place]
                        heapq.heappush(heap, new_rank)
            if heap[0] == rank:
                del places[heapq.heappop(heap)]
        return [token_id for token_id in ids if token_id >= 0]
