"""Texts with labels, for training a classifier: spam or not, positive or negative.

A file (which may be compressed, ``.gz``) is CSV or TSV with a header line, or JSONL, or a JSON
list of such objects::

    text,label                          {"text": "Win a prize now!", "label": "spam"}
    Win a prize now!,spam

Columns are chosen by name, or by number, counted from 1, in a table without a header line. Without
a file, generated problems are used, which need no download. Each is labelled with the operation of
its last step (``operation``), which requires understanding the whole story, or with its story
family (``story``), for which a few words are enough.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from glassmind.data.columns import LABEL
from glassmind.data.json_rows import json_rows
from glassmind.data.packing import Document
from glassmind.data.splits import deal
from glassmind.data.text_file import read_text
from glassmind.errors import UserError
from glassmind.records import Problem
from glassmind.tokenize.corpus.documents import plain_suffix

MAX_LABELS = 1000

MAX_MEMORY = 4 << 30
"""Bytes that the texts of one file may take, which a compressed file does not show."""

_ROW_BYTES = 250  # of a row beside its text

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
    path: str | Path, text_column: str = "text", label_column: str = "label"
) -> list[Labelled]:
    """The labelled texts in a .csv, .tsv (or .txt, with tabs) or .jsonl file.

    Raises:
        UserError: the file is missing, empty, too large or not text; it has no such column; a row
            lacks a value; there are fewer than two labels, or more than ``MAX_LABELS``.
    """
    file = Path(path)
    is_json = plain_suffix(file) in (".jsonl", ".json")
    rows = (_of_rows if is_json else _of_table)(file, text_column, label_column)
    found: list[Labelled] = []
    n_bytes = 0
    for row in rows:
        found.append(row)
        n_bytes += _ROW_BYTES + len(row.text)
        if n_bytes > MAX_MEMORY:
            raise UserError(
                f"{file}: the first {len(found)} rows take {MAX_MEMORY >> 30} GiB of memory; "
                "split the file"
            )
    if not found:
        raise UserError(f"{file} holds no labelled text")
    labels = Counter(row.label for row in found)
    if len(labels) < 2:
        raise UserError(
            f"{file}: all {len(found)} rows have the label {found[0].label[:40]!r}; to tell texts "
            "apart takes at least two labels"
        )
    if len(labels) > MAX_LABELS:
        raise UserError(
            f"{file}: column {label_column!r} has {len(labels)} different values, more than "
            f"{MAX_LABELS}: is it the one with the labels?"
        )
    return found


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


def _of_table(path: Path, *columns: str) -> Iterator[Labelled]:
    text = read_text(path)
    tabs = plain_suffix(path) != ".csv"
    # Tables with tabs do not quote: a quotation mark is part of the text.
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter="\t" if tabs else ",",
        quoting=csv.QUOTE_NONE if tabs else csv.QUOTE_MINIMAL,
    )
    rows = _rows(reader, path)
    if all(column.isdecimal() for column in columns):
        places = [int(column) - 1 for column in columns]
    else:
        _, first = next(rows, (0, []))
        names = [name.strip() for name in first]
        for column in columns:
            if column not in names:
                raise UserError(
                    f"{path} has no column {column!r}; it has {', '.join(names)[:200]}. Where "
                    "there is no line of names, columns go by number"
                )
        places = [names.index(column) for column in columns]
    for line, row in rows:
        if not all(0 <= place < len(row) for place in places):
            raise UserError(
                f"{path} line {line} has {len(row)} columns, too few for {' and '.join(columns)}"
            )
        yield _labelled([row[place] for place in places], f"{path} line {line}")


def _rows(reader: Any, path: Path) -> Iterator[tuple[int, list[str]]]:
    """The rows that a ``csv.reader`` finds, with their lines; there must be one."""
    empty = True
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                empty = False
                yield reader.line_num, row
    except csv.Error as error:
        raise UserError(f"{path} line {reader.line_num} is no table: {error}") from None
    if empty:
        raise UserError(f"{path} is empty: give a table of texts and labels")


def _of_rows(path: Path, *columns: str) -> Iterator[Labelled]:
    for row, where in json_rows(path):
        if not isinstance(row, dict):
            raise UserError(f"{where} is not an object with {' and '.join(columns)}")
        values = []
        for column in columns:
            value = row.get(column)
            if isinstance(value, bool) or not isinstance(value, str | int):
                raise UserError(
                    f"{where} needs {column!r}: a text; it has {', '.join(map(str, row))[:200]}"
                )
            values.append(str(value))
        yield _labelled(values, where)


def _labelled(values: Sequence[str], where: str) -> Labelled:
    text, label = values
    if not text.strip() or not label.strip():
        raise UserError(f"{where} has an empty {'label' if text.strip() else 'text'}")
    return Labelled(text.strip(), label.strip())
