"""Rows of files in common formats: JSONL, JSON, CSV, TSV or parquet, or a folder of such files.

    for row in file_rows(Path("mine.csv")):
        row.where, row.values          "mine.csv line 2", {"question": "...", "answer": "36"}

A row's values are a JSON value, or the cells of a table by the names of their columns. The format
is given by the end of the file's name; all but parquet may be compressed (``.gz``; JSON also
``.xz``). In a ``.csv`` cells are separated by commas, or by semicolons or tabs if its first line
has those instead, and may be quoted; in a ``.tsv`` tabs separate them, and a quotation mark is
text.

Files are not trusted, so the size of a row is limited. A fault in one row is reported for that row
(``BadRow``); only a file that cannot be read at all is refused as a whole.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

from glassmind.data.rows.bad_rows import BadRow, Row
from glassmind.data.rows.json_rows import MAX_ROW, json_rows
from glassmind.data.rows.parquet_rows import parquet_rows
from glassmind.data.rows.text_file import read_text
from glassmind.errors import UserError
from glassmind.tokenize.corpus.documents import plain_suffix

JSON, TABLES = (".jsonl", ".json"), (".csv", ".tsv", ".txt")
SUFFIXES = (*JSON, ".csv", ".tsv", ".parquet")
"""The endings of the files that are read from a folder."""


def is_row_file(name: str) -> bool:
    """Whether a path has the name of a file of rows, or is a folder."""
    return plain_suffix(Path(name)) in SUFFIXES or Path(name).is_dir()


def file_rows(path: Path, *, named: bool = True) -> Iterator[Row | BadRow]:
    """Every row of a file, or of all such files in a folder; blank ones are left out.

    ``named`` says whether the first line of a table has the names of its columns; otherwise they
    are named by their numbers, "1", "2" and so on.

    Raises:
        UserError: a file cannot be read or has another format, or a folder has no such file.
    """
    if not path.is_dir():
        yield from _rows_of(path, path.name.partition(".")[0], named)
        return
    files = [
        file
        for file in sorted(path.rglob("*"))
        if plain_suffix(file) in SUFFIXES and file.is_file() and not _is_hidden(file, path)
    ]
    if not files:
        raise UserError(
            f"the folder {path} holds no rows: a file of rows ends in {', '.join(SUFFIXES)}"
        )
    for file in files:
        inner = file.relative_to(path)
        yield from _rows_of(file, str(inner.with_name(inner.name.partition(".")[0])), named)


def _is_hidden(file: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(folder).parts)


def _rows_of(path: Path, name: str, named: bool) -> Iterator[Row | BadRow]:
    suffix = plain_suffix(path)
    if suffix == ".parquet":
        for number, values in parquet_rows(path):
            yield Row(f"{path} row {number}", f"{name}-{number}", values)
    elif suffix in TABLES:
        yield from _table_rows(path, name, named)
    elif suffix in JSON:
        for found in json_rows(path):
            if isinstance(found, BadRow):
                yield found
            else:
                value, where = found
                yield Row(where, f"{name}-{where.rpartition(' ')[2]}", value)
    else:
        raise UserError(f"{path} is not a file of rows: its name must end in {', '.join(SUFFIXES)}")


# ---------------------------------------------------------------------------------- tables


def _table_rows(path: Path, name: str, named: bool) -> Iterator[Row | BadRow]:
    text = read_text(path)
    csv.field_size_limit(max(csv.field_size_limit(), MAX_ROW))
    quoted = plain_suffix(path) == ".csv"
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=_delimiter(text) if quoted else "\t",
        quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
    )
    columns: list[str] | None = None
    while True:
        line = reader.line_num + 1
        where = f"{path} line {line}"
        try:
            cells = next(reader, None)
        except csv.Error as error:
            yield BadRow(where, _table_fault(error))
            continue
        if cells is None:
            break
        if not any(cell.strip() for cell in cells):
            continue
        if named and columns is None:
            columns = _names(cells, path)
            continue
        while columns is not None and len(cells) > len(columns) and not cells[-1].strip():
            del cells[-1]
        if columns is not None and len(cells) > len(columns):
            yield BadRow(
                where,
                f"has {len(cells)} cells, and the first line names {len(columns)} columns"
                + ("; a cell with a separator in it needs quotation marks" if quoted else ""),
            )
            continue
        names = columns or [str(number) for number in range(1, len(cells) + 1)]
        values = dict(zip_longest(names, cells, fillvalue=""))
        yield Row(where, f"{name}-{line}", values)
    if named and columns is None:
        raise UserError(f"{path} is empty: give a table whose first line names its columns")


def _delimiter(text: str) -> str:
    """The separator of a ``.csv``. Programs write semicolons in languages with decimal commas."""
    first = text.lstrip("\r\n").partition("\n")[0]
    return next((mark for mark in (",", ";", "\t") if mark in first), ",")


def _names(cells: list[str], path: Path) -> list[str]:
    names = [cell.strip() for cell in cells]
    while names and not names[-1]:
        del names[-1]
    twice = next((name for name in names if name and names.count(name) > 1), None)
    if twice is not None:
        raise UserError(f"{path} has two columns named {twice[:40]!r}: rename one")
    return names


def _table_fault(error: csv.Error) -> str:
    if "field limit" in str(error):
        return (
            f"begins a cell of more than {MAX_ROW >> 20} million characters; check for a missing "
            "quotation mark"
        )
    return f"is not a table: {error}"
