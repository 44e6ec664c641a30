"""The books on the cache's blocks."""

from __future__ import annotations

import random

from glassmind.generate.cache.blocks import START, Blocks
from glassmind.generate.cache.layout import BLOCK


def filled(blocks: Blocks, tokens: list[int]) -> list[int]:
    """Blocks that hold ``tokens``, remembered."""
    taken, before = [], START
    for at in range(0, len(tokens), BLOCK):
        block = blocks.take()
        assert block is not None
        taken.append(block)
        before = blocks.remember(before, block, tokens[at : at + BLOCK])
    return taken


def test_every_block_is_taken_once_and_comes_back() -> None:
    blocks = Blocks(5)
    taken = [blocks.take() for _ in range(6)]
    assert sorted(taken[:5]) == [0, 1, 2, 3, 4]  # type: ignore[type-var]
    assert taken[5] is None
    assert blocks.n_free == 0
    blocks.release([2, 4])
    assert blocks.n_free == 2
    assert {blocks.take(), blocks.take()} == {2, 4}


def test_a_beginning_is_found_as_far_as_it_is_the_same() -> None:
    blocks = Blocks(9)
    tokens = list(range(3 * BLOCK))
    first = filled(blocks, tokens)
    assert blocks.find(tokens) == first
    assert blocks.find(tokens[: 2 * BLOCK + 3]) == first[:2]
    assert blocks.find([*tokens[:BLOCK], 99, *tokens[BLOCK + 1 :]]) == first[:1]
    assert blocks.find(tokens[1:]) == []
    # The same tokens after something else have other keys and values.
    assert blocks.find(tokens[BLOCK:]) == []
    for _ in range(3):
        blocks.release(first)  # once for the first user, twice for those who found it
    assert blocks.n_free == 9 - 1  # the one-block finding is still in use


def test_unused_blocks_are_found_until_their_memory_is_needed() -> None:
    blocks = Blocks(4)
    old, new = list(range(2 * BLOCK)), list(range(100, 100 + 2 * BLOCK))
    blocks.release(filled(blocks, old))
    blocks.release(filled(blocks, new))
    assert blocks.n_free == 4
    assert len(blocks.find(old)) == 2
    blocks.release(blocks.find(old))
    assert blocks.n_free == 2  # still used by the first finding
    assert blocks.take() is not None
    assert len(blocks.find(new)) == 1  # the end of the chain went first
    assert blocks.take() is None


def test_two_that_computed_the_same_share_one_name() -> None:
    blocks = Blocks(4)
    tokens = list(range(BLOCK))
    first, second = filled(blocks, tokens), filled(blocks, tokens)
    assert first != second
    assert blocks.find(tokens) == first
    assert blocks.last_content(first) != START
    after = blocks.remember(blocks.last_content(first), second[0], list(range(50, 50 + BLOCK)))
    assert after != START
    assert blocks.find([*tokens, *range(50, 50 + BLOCK)]) == [first[0], second[0]]


def test_a_long_random_life_loses_nothing() -> None:
    rng, blocks = random.Random(0), Blocks(30)
    held: list[list[int]] = []
    for _ in range(3000):
        if held and rng.random() < 0.5:
            blocks.release(held.pop(rng.randrange(len(held))))
            continue
        tokens = [rng.randrange(2) for _ in range(BLOCK)] * rng.randint(1, 4)
        found = blocks.find(tokens)
        before = blocks.last_content(found)
        for at in range(len(found) * BLOCK, len(tokens), BLOCK):
            block = blocks.take()
            if block is None:
                break
            found.append(block)
            before = blocks.remember(before, block, tokens[at : at + BLOCK])
        held.append(found)
        assert blocks.n_free == 30 - len({block for chain in held for block in chain})
    for chain in held:
        blocks.release(chain)
    assert blocks.n_free == 30
