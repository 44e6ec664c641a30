"""The loader: every row once an epoch, and a saved state continues exactly."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glassmind.data.batches.loader import RowLoader
from glassmind.data.batches.packing import PackedRows, stream
from glassmind.errors import UserError


def numbered(n_rows: int) -> PackedRows:
    """Rows whose ids are their own number."""
    return stream(np.repeat(np.arange(n_rows, dtype=np.int32), 4), 4)


def rows_seen(batches: list[list[int]]) -> list[int]:
    return [row for batch in batches for row in batch]


def walk(loader: RowLoader, batches: int) -> list[list[int]]:
    return [loader.next().ids[:, 0].tolist() for _ in range(batches)]


def test_an_epoch_has_every_row_once() -> None:
    loader = RowLoader(numbered(12), 4, seed=1)
    assert sorted(rows_seen(walk(loader, 3))) == list(range(12))
    assert loader.epoch == 0
    assert sorted(rows_seen(walk(loader, 3))) == list(range(12))
    assert loader.epoch == 1


def test_rows_that_fill_no_batch_are_left_out_of_the_epoch() -> None:
    loader = RowLoader(numbered(11), 4, seed=1)
    for _ in range(20):
        epoch = rows_seen(walk(loader, 2))
        assert len(set(epoch)) == 8
    left_out = [set(range(11)) - set(rows_seen(walk(loader, 2))) for _ in range(20)]
    assert set.union(*left_out) == set(range(11))  # no row is left out for ever


def test_epochs_and_seeds_differ() -> None:
    loader = RowLoader(numbered(40), 8, seed=3)
    first, second = walk(loader, 5), walk(loader, 5)
    assert first != second
    assert walk(RowLoader(numbered(40), 8, seed=3), 5) == first
    assert walk(RowLoader(numbered(40), 8, seed=4), 5) != first


@given(st.integers(1, 9), st.integers(0, 20), st.integers(0, 5))
@settings(max_examples=50)
def test_a_saved_state_continues_exactly(batch_rows: int, before: int, seed: int) -> None:
    rows = numbered(9)
    loader = RowLoader(rows, batch_rows, seed)
    walk(loader, before)
    state = json.loads(json.dumps(loader.state()))
    expected = walk(loader, 7)
    again = RowLoader(rows, batch_rows, seed)
    walk(again, 3)  # whatever it did before is forgotten
    again.restore(state)
    assert again.state() == state
    assert walk(again, 7) == expected


def test_too_little_data_is_refused() -> None:
    with pytest.raises(UserError, match="a batch wants 4 rows and the data fills only 3"):
        RowLoader(numbered(3), 4, seed=0)
