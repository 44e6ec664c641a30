"""Texts with labels, for training a classifier: spam or not, positive or negative.

A file is CSV or TSV with a header line, JSONL, a JSON list of such objects, or parquet::

    text,label                          {"text": "Win a prize now!", "label": "spam"}
    Win a prize now!,spam

Columns are chosen by name, or by number, counted from 1, in a table without a header line. Without
a file, generated problems are used, which need no download. Each is labelled with the operation of
its last step (``operation``), which requires understanding the whole story, or with its story
family (``story``), for which a few words are enough.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from glassmind.data.batches.columns import LABEL
from glassmind.data.batches.packing import Document
from glassmind.data.rows.bad_rows import Checked, OnBadRow, Row, RowFault, check_rows, silence
from glassmind.data.rows.files import file_rows
from glassmind.data.splits import deal
from glassmind.errors import UserError
from glassmind.records import Problem

MAX_LABELS = 1000

Task = Literal["operation", "story"]
OPERATIONS = {"+": "plus", "-": "minus", "*": "times", "/": "divided by"}


@dataclass(frozen=True, slots=True)
class Labelled:
    """A text and its label."""

    text: str
    label: str


class LabelledSplits(NamedTuple):
    """Three lists that share no text."""

    train: list[Labelled]
    validation: list[Labelled]
    test: list[Labelled]


def load_labelled(
    path: str | Path,
    text_column: str = "text",
    label_column: str = "label",
    *,
    on_bad_row: OnBadRow = "stop",
    say: Callable[[str], object] = silence,
) -> list[Labelled]:
    """The labelled texts in a file (``data.rows.files`` says of which kinds).

    ``on_bad_row`` ``"skip"`` leaves out the rows without a text or a label, and tells ``say``
    which.

    Raises:
        UserError: the file is missing, empty, too large or not text; it has no such column; a row
            lacks a value; there are fewer than two labels, or more than ``MAX_LABELS``.
    """
    found = check_labelled(path, text_column, label_column).usable(on_bad_row, say)
    if not found:
        raise UserError(f"{path} holds no labelled text")
    labels = Counter(row.label for row in found)
    if len(labels) < 2:
        raise UserError(
            f"{path}: all {len(found)} rows have the label {found[0].label[:40]!r}; to tell texts "
            "apart takes at least two labels"
        )
    if len(labels) > MAX_LABELS:
        raise UserError(
            f"{path}: column {label_column!r} has {len(labels)} different values, more than "
            f"{MAX_LABELS}: is it the one with the labels?"
        )
    return found


def check_labelled(
    path: str | Path, text_column: str = "text", label_column: str = "label"
) -> Checked[Labelled]:
    """The same, with the bad rows beside the others. Raises ``UserError`` for a file that cannot be
    read at all."""
    columns = (text_column, label_column)
    named = not all(column.isdecimal() for column in columns)
    rows = file_rows(Path(path), named=named)
    parse = partial(_labelled, columns=columns, named=named)
    return check_rows(str(path), rows, parse, lambda row: 250 + len(row.text) + len(row.label))


def problem_texts(problems: Iterable[Problem], task: Task) -> list[Labelled]:
    """Generated problems with labels."""
    return [Labelled(p.question, _label(p, task)) for p in problems]


def split_labelled(
    rows: Iterable[Labelled], seed: int, *, validation: float = 0.1, test: float = 0.2
) -> LabelledSplits:
    """Split texts by a hash of seed and text; the fractions are expected sizes. Texts that
    differ only in case or white space stay together."""
    return LabelledSplits(*deal(rows, lambda row: row.text, seed, validation=validation, test=test))


def label_documents(
    rows: Sequence[Labelled], ids: Sequence[list[int]], labels: Sequence[str], most_tokens: int
) -> tuple[list[Document], int]:
    """Documents whose last token carries the index of their label; and how many were cut.

    ``ids`` are the texts' tokens. A text longer than ``most_tokens`` loses its beginning, because
    the classifier reads the last token, the only one that sees the whole text.
    """
    number = {label: float(n) for n, label in enumerate(labels)}
    documents, cut = [], 0
    for row, tokens in zip(rows, ids, strict=True):
        cut += len(tokens) > most_tokens
        kept = np.array(tokens[-most_tokens:], np.int32)
        marks = np.full(len(kept), np.nan, np.float32)
        marks[-1] = number[row.label]
        documents.append(Document(kept, {LABEL: marks}))
    return documents, cut


def _label(problem: Problem, task: Task) -> str:
    if task == "story":
        return problem.source.rpartition("/")[2]
    return OPERATIONS[problem.steps[-1].operator]


# ---------------------------------------------------------------------------------- reading


def _labelled(row: Row, *, columns: tuple[str, str], named: bool) -> Labelled:
    if not isinstance(row.values, dict):
        raise RowFault(f"is not an object with {' and '.join(columns)}")
    cells = []
    for what, column in zip(("text", "label"), columns, strict=True):
        if column not in row.values:
            raise RowFault(
                f"has no column {column!r}; it has {', '.join(map(str, row.values))[:200]}"
                + (". Where there is no line of names, columns go by number" if named else "")
            )
        value = row.values[column]
        if isinstance(value, bool):
            value = str(value).lower()  # as JSON writes it
        if not isinstance(value, str | int | float):
            raise RowFault(f"needs a text or a number in {column!r}, not {_kind(value)}")
        cell = str(value).strip()
        if not cell:
            raise RowFault(f"has an empty {what}")
        cells.append(cell)
    return Labelled(*cells)


def _kind(value: object) -> str:
    """What JSON calls it."""
    names = {"NoneType": "null", "list": "a list", "dict": "an object"}
    return names.get(type(value).__name__, f"a {type(value).__name__}")
