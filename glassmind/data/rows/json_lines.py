"""Files with one JSON object per line, read one bounded line at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from glassmind.data.rows.json_rows import require_text
from glassmind.errors import UserError

MAX_LINE = 1_000_000
"""A longer line (in bytes) is refused."""


def json_objects(path: Path) -> Iterator[tuple[str, int, dict[str, object]]]:
    """Every object of the file, with its location for error messages and its line number (from 1).

    Blank lines are skipped.

    Raises:
        UserError: the file cannot be read, or a line is too long, not UTF-8, not JSON or not an
            object.
    """
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(MAX_LINE + 1):
                number += 1
                where = f"{path} line {number}"
                if len(line) > MAX_LINE:
                    raise UserError(f"{where} is longer than 1 MB; put one problem on each line")
                if line.strip():
                    yield where, number, _object(line, where)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error


def _object(line: bytes, where: str) -> dict[str, object]:
    try:
        row = json.loads(line.decode("utf-8-sig"), parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise UserError(f"{where} is not UTF-8 text; save the file as UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where} is not JSON; each line must be one JSON object") from error
    require_text(row, where)
    if not isinstance(row, dict):
        raise UserError(f"{where} is not a JSON object with a question and an answer")
    return row


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
