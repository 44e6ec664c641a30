"""Packing: every document once, nothing overflows, and who predicts whom is right."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glassmind.data.batches.columns import COMPLETION, LABEL, Column
from glassmind.data.batches.packing import Document, PackedRows, assign_rows, pack, stream
from glassmind.errors import UserError

PAD = 0
ROW = 24


@st.composite
def documents(draw: st.DrawFn) -> list[Document]:
    """Documents of 1 to ROW tokens, some of them branching, whose ids say where they belong.

    Token i of document d has the id ``1 + d * 100 + i``, so that no two tokens are alike.
    """
    made = []
    for number in range(draw(st.integers(1, 12))):
        if draw(st.booleans()):
            prompt = draw(st.integers(1, 8))
            chains = draw(st.lists(st.integers(1, 8), min_size=1, max_size=2))
        else:
            prompt, chains = draw(st.integers(1, ROW)), []
        length = prompt + sum(chains)
        branches = [0] * prompt + [n for n, size in enumerate(chains, 1) for _ in range(size)]
        completion = draw(st.lists(st.booleans(), min_size=length, max_size=length))
        labelled = draw(st.booleans())
        labels = [float(i % 2) if i % 3 == 0 else float("nan") for i in range(length)]
        made.append(
            Document(
                np.arange(length, dtype=np.int32) + 1 + number * 100,
                {COMPLETION: np.array(completion)}
                | ({LABEL: np.array(labels, np.float32)} if labelled else {}),
                np.array(branches, np.int16) if chains else None,
            )
        )
    return made


def find(packed: PackedRows, document: Document) -> tuple[int, int]:
    """Row and first column of a document, which must be in one piece and once."""
    rows, columns = (packed.ids == document.ids[0]).nonzero()
    assert len(rows) == 1
    return int(rows[0]), int(columns[0])


@given(documents())
@settings(max_examples=60)
def test_every_document_is_there_exactly_once(made: list[Document]) -> None:
    packed = pack(made, ROW, PAD)
    assert packed.ids.shape[1] == ROW
    assert (packed.ids != PAD).sum() == sum(map(len, made))
    seen: set[tuple[int, int]] = set()
    for document in made:
        row, start = find(packed, document)
        here = slice(start, start + len(document))
        assert np.array_equal(packed.ids[row, here], document.ids)
        assert np.array_equal(packed[COMPLETION][row, here], document[COMPLETION])
        number = int(packed.documents[row, start])
        assert number > 0
        assert (row, number) not in seen
        seen.add((row, number))
        assert np.array_equal(np.flatnonzero(packed.documents[row] == number), np.r_[here])
        branches = np.zeros(len(document)) if document.branches is None else document.branches
        assert np.array_equal(packed.branches[row, here], branches)
        if any(LABEL in other.columns for other in made):
            labels = document.columns.get(LABEL, np.full(len(document), np.nan))
            assert np.array_equal(packed[LABEL][row, here], labels, equal_nan=True)
        else:
            assert LABEL not in packed.columns


@given(documents())
@settings(max_examples=60)
def test_positions_and_predecessors_are_those_of_each_branch_alone(made: list[Document]) -> None:
    packed = pack(made, ROW, PAD)
    for document in made:
        row, start = find(packed, document)
        branches = [0] * len(document) if document.branches is None else document.branches.tolist()
        last_of: dict[int, int] = {}  # branch -> its newest token, the prompt's for a new branch
        depth: dict[int, int] = {}
        for i, branch in enumerate(branches):
            before = last_of.get(branch, last_of.get(0, 0))
            assert packed.previous[row, start + i] == start + before
            assert packed.positions[row, start + i] == depth.get(branch, depth.get(0, 0))
            depth[branch] = depth.get(branch, depth.get(0, 0)) + 1
            last_of[branch] = i


@given(documents())
@settings(max_examples=30)
def test_padding_says_nothing(made: list[Document]) -> None:
    packed = pack(made, ROW, PAD)
    padding = packed.documents == 0
    assert np.array_equal(padding, packed.ids == PAD)
    assert not packed[COMPLETION][padding].any()
    if LABEL in packed.columns:
        assert np.isnan(packed[LABEL][padding]).all()
    own = np.broadcast_to(np.arange(ROW), packed.previous.shape)
    assert np.array_equal(packed.previous[padding], own[padding])


@given(st.lists(st.integers(1, 50), max_size=80), st.integers(50, 70))
def test_assignment_fits_and_is_complete(lengths: list[int], row_tokens: int) -> None:
    rows = assign_rows(lengths, row_tokens)
    assert sorted(d for row in rows for d in row) == list(range(len(lengths)))
    assert all(0 < sum(lengths[d] for d in row) <= row_tokens for row in rows)
    assert rows == assign_rows(lengths, row_tokens)
    # Two rows that would fit into one were never both needed.
    loads = sorted(sum(lengths[d] for d in row) for row in rows)
    assert len(loads) < 2 or loads[0] + loads[1] > row_tokens


@pytest.mark.parametrize(("low", "high"), [(20, 90), (40, 130), (5, 192), (60, 64)])
def test_rows_are_at_least_nine_tenths_full(low: int, high: int) -> None:
    rng = random.Random(low)
    lengths = [rng.randint(low, high) for _ in range(2000)]
    rows = assign_rows(lengths, 192)
    assert sum(lengths) / (len(rows) * 192) >= 0.9


def test_take_chooses_rows() -> None:
    made = [Document(np.full(3, n, np.int32)) for n in range(1, 6)]
    packed = pack(made, 3, PAD)
    chosen = packed.take(np.array([3, 0]))
    assert len(packed) == 5
    assert len(chosen) == 2
    assert np.array_equal(chosen.ids, packed.ids[[3, 0]])
    assert np.array_equal(packed.take(slice(1, 3)).positions, packed.positions[1:3])


def test_what_cannot_be_packed_is_refused() -> None:
    with pytest.raises(UserError, match="no document"):
        pack([], 10, PAD)
    long = Document(np.arange(11, dtype=np.int32))
    with pytest.raises(UserError, match="a document has 11 tokens, but a row only 10"):
        pack([long], 10, PAD)


def test_a_stream_is_cut_into_rows() -> None:
    ids = np.arange(23, dtype=np.int32)
    rows = stream(ids, 5)
    assert np.array_equal(rows.ids, ids[:20].reshape(4, 5))
    assert np.array_equal(rows.positions, np.tile(np.arange(5), (4, 1)))
    assert np.array_equal(rows.previous, np.tile([0, 0, 1, 2, 3], (4, 1)))
    assert (rows.documents == 1).all()
    assert not rows.branches.any()
    assert not rows.columns
    with pytest.raises(UserError, match="only 4 tokens, less than one row of 5"):
        stream(ids[:4], 5)


def test_positions_of_very_long_rows() -> None:
    rows = stream(np.zeros(40_000, np.int32), 40_000)
    assert rows.positions.min() == 0
    assert rows.previous.min() == 0


WORTH = Column("worth", "float32", -1.0)
TURN = Column("turn", "int64", 7)


def numbered(start: int, length: int, *columns: Column) -> Document:
    """A document whose every column holds its ids."""
    ids = np.arange(start, start + length, dtype=np.int32)
    return Document(ids, dict.fromkeys(columns, ids))


def test_columns_stay_aligned_whatever_they_are() -> None:
    made = [numbered(10, 5, WORTH), numbered(20, 3, TURN), numbered(30, 4), numbered(40, 6, WORTH)]
    packed = pack(made, 10, PAD)
    assert packed.columns.keys() == {WORTH, TURN}
    assert (packed[WORTH].dtype, packed[TURN].dtype) == (np.float32, np.int64)
    for rows in (packed, packed.take(np.array([1, 0]))):
        has_worth = (rows.ids // 10 == 1) | (rows.ids // 10 == 4)
        assert np.array_equal(rows[WORTH], np.where(has_worth, rows.ids, -1.0))
        assert np.array_equal(rows[TURN], np.where(rows.ids // 10 == 2, rows.ids, 7))


def test_joined_rows_have_the_columns_of_all_parts() -> None:
    one, two = pack([numbered(10, 5, WORTH)], 6, PAD), pack([numbered(20, 3, TURN)], 6, PAD)
    joined = PackedRows.join([one, two])
    assert len(joined) == 2
    assert joined.ids[1, :3].tolist() == [20, 21, 22]
    assert joined[WORTH].tolist() == [[10, 11, 12, 13, 14, -1], [-1.0] * 6]
    assert joined[TURN].tolist() == [[7] * 6, [20, 21, 22, 7, 7, 7]]


def test_a_column_that_is_missing_or_too_short_is_named() -> None:
    packed = pack([numbered(10, 5, WORTH)], 6, PAD)
    with pytest.raises(UserError, match="needs the column 'turn', but the data has worth"):
        packed[TURN]
    with pytest.raises(UserError, match="5 tokens but 4 values in its column 'worth'"):
        Document(np.arange(5, dtype=np.int32), {WORTH: np.zeros(4)})
    with pytest.raises(UserError, match="must be an identifier"):
        Column("old logprob", "float32", 0.0)
