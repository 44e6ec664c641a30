from __future__ import annotations

import itertools
import random

import pytest

from glassmind.tokenize.bpe.merging import MergeTable


def plain_merge(ids: list[int], merges: list[tuple[int, int, int]]) -> list[int]:
    """The definition read out loud: the earliest-learned merge that fits, at its leftmost place."""
    ids = list(ids)
    while True:
        neighbours = list(itertools.pairwise(ids))
        fitting = [merge for merge in merges if merge[:2] in neighbours]
        if not fitting:
            return ids
        left, right, product = fitting[0]
        at = neighbours.index((left, right))
        ids[at : at + 2] = [product]


@pytest.mark.parametrize("seed", range(300))
def test_both_ways_of_merging_are_the_plain_one_for_any_table(seed: int) -> None:
    """Also for tables that no training makes, where a merge makes an earlier one possible."""
    rng = random.Random(seed)
    size = rng.randint(1, 8)
    pairs = list(itertools.product(range(size), repeat=2))
    rng.shuffle(pairs)
    merges = [(a, b, rng.randrange(size)) for a, b in pairs[: rng.randint(0, len(pairs))]]
    table = MergeTable(merges, size)
    for length in (0, 1, 2, 7, 40):
        ids = [rng.randrange(size) for _ in range(length)]
        plain = plain_merge(ids, merges)
        assert table._merge_by_scan(list(ids)) == plain
        assert table._merge_by_heap(list(ids)) == plain


def test_a_table_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="outside"):
        MergeTable([(0, 1, 3)], 3)
    with pytest.raises(ValueError, match="outside"):
        MergeTable([(0, -1, 2)], 3)
    with pytest.raises(ValueError, match="twice"):
        MergeTable([(0, 1, 2), (0, 1, 0)], 3)


def test_long_pieces_that_keep_making_earlier_merges_possible() -> None:
    """A second or so; if what waits were sorted anew at each of them, minutes."""
    # a b -> c is learned last, and each time makes c x possible, which was learned first.
    a, b, x, c, d = range(5)
    table = MergeTable([(c, x, d), (a, b, c)], 5)
    assert table.merge([a, b, x] * 60_000) == [d] * 60_000
