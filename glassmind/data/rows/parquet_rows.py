"""Rows of a parquet file, a few in memory at a time.

A parquet file says how large its columns are, and that may be a lie, or a bomb: a column that is
stored as a dictionary unpacks to many times its size. So rows are unpacked in batches whose size
follows from what the file says, and what packs better than any text does is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from glassmind.errors import UserError
from glassmind.tokenize.corpus.documents import MAX_DOCUMENT

_ROWS_AT_ONCE = 256
_BYTES_AT_ONCE = 512 << 20  # unpacked
_MAX_RATIO = 200  # a column of more than that many bytes may not unpack to so many times its size


def parquet_rows(
    path: Path,
    choose: Callable[[list[str]], Sequence[str]] = lambda columns: columns,
    on_read: Callable[[int], object] = lambda n_bytes: None,
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Every row with its number, from 1: Python's values by the name of their column.

    ``choose`` picks the columns to be read out of the names of all. ``on_read`` is called with the
    number of bytes read.

    Raises:
        UserError: the package ``pyarrow`` is missing, it is no parquet file, or a column is a bomb.
    """
    try:
        import pyarrow  # type: ignore[import-untyped, unused-ignore]
        import pyarrow.parquet  # type: ignore[import-untyped, unused-ignore]
    except ModuleNotFoundError:
        raise UserError(
            f"{path} needs the package pyarrow to be read: pip install 'glassmind[parquet]'"
        ) from None
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            columns = list(choose(file.schema_arrow.names))
            number = 0
            for group in range(file.num_row_groups):
                described = file.metadata.row_group(group)
                at_once = min(_rows_at_once(path, described, column) for column in columns)
                for batch in file.iter_batches(at_once, row_groups=[group], columns=columns):
                    cells = [batch.column(name) for name in columns]
                    for place in range(batch.num_rows):
                        number += 1
                        # Not to_pylist(): a dictionary's text would be copied for every row.
                        values = [column[place].as_py() for column in cells]
                        yield number, dict(zip(columns, values, strict=True))
                on_read(path.stat().st_size // file.num_row_groups)
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0][:120]
        raise UserError(f"{path} cannot be read as a parquet file ({reason})") from None


def _rows_at_once(path: Path, group: Any, name: str) -> int:
    """How many rows of a group to unpack at once: any of them may be as long as the whole column.

    Raises ``UserError`` for a column that is a bomb: text does not pack as well as its numbers say.
    """
    size = packed = 0
    for place in range(group.num_columns):
        column = group.column(place)
        if f"{column.path_in_schema}.".startswith(f"{name}."):  # of a list, what is in it
            size += column.total_uncompressed_size
            packed += column.total_compressed_size
    if size > _BYTES_AT_ONCE and size > _MAX_RATIO * max(1, packed):
        raise UserError(
            f"{path}: {name!r} unpacks to {size >> 20} MiB, {size // max(1, packed)} times its "
            "size in the file, as no text does"
        )
    longest = min(max(1, size), MAX_DOCUMENT)
    return min(_ROWS_AT_ONCE, max(1, _BYTES_AT_ONCE // longest))
