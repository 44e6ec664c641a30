"""Packing: many short documents in rows of one length, with little waste and no leaks.

All rows of a batch have the same length, but documents do not. Padding each document to the longest
wastes compute; packing puts several into a row, and a document mask keeps them apart
(``model.masks.same_document``).

A document may *branch*: several continuations of one prompt, such as sixteen sampled chains of one
question, are stored with the prompt only once. Branch 0 is the prompt, which every branch sees; a
branch sees the prompt and itself. Positions in each branch continue from the prompt's end, so the
result for a branch is the same as if it were alone after its prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassmind.data.batches.columns import Column, pick
from glassmind.errors import UserError


@dataclass(frozen=True, slots=True)
class Document:
    """One document of T tokens: ``ids``, and ``columns`` of T values each
    (``data.batches.columns``).

    ``branches`` is 0 for the prompt and 1, 2, ... for its continuations, one after the other;
    ``None`` for a document that does not branch. ``positions`` are 0, 1, 2, ... unless given; those
    of a document that branches cannot be.
    """

    ids: NDArray[np.int32]
    columns: Mapping[Column, NDArray[Any]] = field(default_factory=dict)
    branches: NDArray[np.int16] | None = None
    positions: NDArray[np.int32] | None = None

    def __post_init__(self) -> None:
        if self.positions is not None and self.branches is not None:
            raise ValueError("a document that branches has no positions of its own")
        for column, values in self.columns.items():
            if len(values) != len(self.ids):
                raise UserError(
                    f"a document has {len(self.ids)} tokens but {len(values)} values in its column "
                    f"{column.name!r}: give one value for each token"
                )

    def __getitem__(self, column: Column) -> NDArray[Any]:
        return pick(self.columns, column)

    def __len__(self) -> int:
        return len(self.ids)


STRUCTURE = ("ids", "documents", "branches", "positions", "previous")
"""The arrays that all packed rows have in addition to their columns."""


@dataclass(frozen=True, slots=True)
class PackedRows:
    """Packed documents, R rows of T tokens; every array has the shape (R, T).

    ``documents`` numbers the documents within a row from 1 (0 is padding). ``previous`` is the
    index in the row of the token that predicts this one. Usually it is the token before; for the
    first token of a branch it is the last of the prompt, and a document's first token has its own
    index. ``columns`` describe the token itself, not the next one.
    """

    ids: NDArray[np.int32]
    documents: NDArray[np.int16]
    branches: NDArray[np.int16]
    positions: NDArray[np.int32]
    previous: NDArray[np.int32]
    columns: Mapping[Column, NDArray[Any]] = field(default_factory=dict)

    def __getitem__(self, column: Column) -> NDArray[Any]:
        return pick(self.columns, column)

    def each(self, change: Callable[[NDArray[Any]], NDArray[Any]]) -> PackedRows:
        """The rows with ``change`` applied to every array."""
        structure = {name: change(getattr(self, name)) for name in STRUCTURE}
        columns = {column: change(values) for column, values in self.columns.items()}
        return PackedRows(**structure, columns=columns)

    def take(self, rows: NDArray[np.int64] | slice) -> PackedRows:
        """The chosen rows."""
        return self.each(lambda array: array[rows])

    @staticmethod
    def join(parts: Sequence[PackedRows]) -> PackedRows:
        """All rows of ``parts``, of equal length; parts without a column get its fill value."""
        structure = {
            name: np.concatenate([getattr(part, name) for part in parts]) for name in STRUCTURE
        }
        columns = {
            column: np.concatenate(
                [part.columns.get(column, column.filled(part.ids.shape)) for part in parts]
            )
            for column in dict.fromkeys(column for part in parts for column in part.columns)
        }
        return PackedRows(**structure, columns=columns)

    def __len__(self) -> int:
        return len(self.ids)


def assign_rows(lengths: Sequence[int], row_tokens: int) -> list[list[int]]:
    """Best-fit-decreasing bin packing: document numbers of each row, in the order packed.

    Documents are placed longest first, each into the fullest row in which it fits (Johnson 1973).
    Rows are kept in lists by free space, so that the work is at most (documents x free sizes).
    """
    rows: list[list[int]] = []
    by_space: list[list[int]] = [[] for _ in range(row_tokens + 1)]
    for document in sorted(range(len(lengths)), key=lambda d: (-lengths[d], d)):
        length = lengths[document]
        for space in range(length, row_tokens):
            if by_space[space]:
                row = by_space[space].pop()
                break
        else:
            space, row = row_tokens, len(rows)
            rows.append([])
        rows[row].append(document)
        by_space[space - length].append(row)
    return rows


def pack(documents: Sequence[Document], row_tokens: int, pad_id: int) -> PackedRows:
    """Pack ``documents`` into rows of ``row_tokens``.

    Raises:
        UserError: there is nothing to pack, or a document is longer than a row.
    """
    if not documents:
        raise UserError("there is no document to train on: the data set is empty")
    longest = max(len(document) for document in documents)
    if longest > row_tokens:
        raise UserError(
            f"a document has {longest} tokens, but a row only {row_tokens}: "
            f"set row_tokens to {longest} or more"
        )
    rows = assign_rows([len(document) for document in documents], row_tokens)
    shape = (len(rows), row_tokens)
    declared = dict.fromkeys(column for document in documents for column in document.columns)
    packed = PackedRows(
        ids=np.full(shape, pad_id, np.int32),
        documents=np.zeros(shape, np.int16),
        branches=np.zeros(shape, np.int16),
        positions=np.zeros(shape, np.int32),
        previous=np.tile(np.arange(row_tokens, dtype=np.int32), (len(rows), 1)),
        columns={column: column.filled(shape) for column in declared},
    )
    for r, members in enumerate(rows):
        start = 0
        for number, member in enumerate(members, 1):
            start = _place(packed, r, start, number, documents[member])
    return packed


def _place(packed: PackedRows, row: int, start: int, number: int, document: Document) -> int:
    """Write one document into a row at ``start``; returns the position after it."""
    length = len(document)
    here = slice(start, start + length)
    packed.ids[row, here] = document.ids
    packed.documents[row, here] = number
    positions = np.arange(length, dtype=np.int32)
    if document.positions is not None:
        positions = document.positions
    packed.previous[row, here] = np.maximum(np.arange(start - 1, start + length - 1), start)
    if document.branches is not None:
        packed.branches[row, here] = document.branches
        prompt = int((document.branches == 0).sum())
        starts = np.flatnonzero(np.diff(document.branches)) + 1  # first token of every branch
        for first in starts[1:]:
            positions[first:] = np.arange(prompt, prompt + length - first)
        packed.previous[row, start + starts] = start + prompt - 1
    packed.positions[row, here] = positions
    for column, values in document.columns.items():
        packed.columns[column][row, here] = values
    return start + length


def stream(ids: NDArray[np.int32], row_tokens: int) -> PackedRows:
    """Cut one long stream of token ids into rows for pretraining, which carry no columns.

    Raises:
        UserError: the stream is too short for one row.
    """
    n_rows = len(ids) // row_tokens
    if n_rows < 1:
        raise UserError(
            f"the text has only {len(ids)} tokens, less than one row of {row_tokens}: "
            "give more text or set row_tokens lower"
        )
    shape = (n_rows, row_tokens)
    used = n_rows * row_tokens
    return PackedRows(
        ids=ids[:used].reshape(shape).astype(np.int32),
        documents=np.ones(shape, np.int16),
        branches=np.zeros(shape, np.int16),
        positions=np.broadcast_to(np.arange(row_tokens, dtype=np.int32), shape),
        previous=np.broadcast_to(
            np.maximum(np.arange(-1, row_tokens - 1), 0).astype(np.int32), shape
        ),
    )
