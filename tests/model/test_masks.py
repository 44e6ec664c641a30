"""Masks against loops that ask for every pair."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from glassmind.model import Mask, causal, prefix, same_document, sliding_window

B, T = 3, 7
DOCUMENTS = torch.tensor([[1, 1, 1, 2, 2, 0, 0], [1] * 7, [1, 2, 3, 4, 5, 6, 7]])
LENGTHS = torch.tensor([0, 3, 7])

CASES: dict[str, tuple[Mask, Callable[[int, int, int], bool]]] = {
    "causal": (causal, lambda b, q, kv: kv <= q),
    "window": (sliding_window(3), lambda b, q, kv: q - 2 <= kv <= q),
    "window of one": (sliding_window(1), lambda b, q, kv: q == kv),
    "document": (
        same_document(DOCUMENTS),
        lambda b, q, kv: bool(DOCUMENTS[b, q] == DOCUMENTS[b, kv]),
    ),
    "prefix": (prefix(LENGTHS), lambda b, q, kv: kv < int(LENGTHS[b])),
}


def written_out(allowed: Callable[[int, int, int], bool]) -> torch.Tensor:
    return torch.tensor(
        [[[allowed(b, q, kv) for kv in range(T)] for q in range(T)] for b in range(B)]
    )


@pytest.mark.parametrize("name", CASES)
def test_mask_equals_the_loop(name: str) -> None:
    mask, allowed = CASES[name]
    dense = mask.dense(B, T)
    assert dense.shape == (B, T, T)
    assert dense.dtype == torch.bool
    assert torch.equal(dense, written_out(allowed))


@pytest.mark.parametrize("one", CASES)
@pytest.mark.parametrize("two", CASES)
def test_and_and_or_are_those_of_their_parts(one: str, two: str) -> None:
    (first, p), (second, r) = CASES[one], CASES[two]
    both = written_out(lambda b, q, kv: p(b, q, kv) and r(b, q, kv))
    either = written_out(lambda b, q, kv: p(b, q, kv) or r(b, q, kv))
    assert torch.equal((first & second).dense(B, T), both)
    assert torch.equal((first | second).dense(B, T), either)


def test_three_masks_compose() -> None:
    """A bidirectional prompt in a packed row: (causal or prefix) and same document."""
    mask = (causal | prefix(LENGTHS)) & same_document(DOCUMENTS)
    expected = written_out(
        lambda b, q, kv: (
            (kv <= q or kv < int(LENGTHS[b])) and bool(DOCUMENTS[b, q] == DOCUMENTS[b, kv])
        )
    )
    assert torch.equal(mask.dense(B, T), expected)
