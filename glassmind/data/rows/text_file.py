"""A text file read in one go: for tables and lists that have to be seen whole."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

from glassmind.errors import UserError

MAX_BYTES = 256 << 20
"""Of a file, unpacked."""


def read_text(path: Path) -> str:
    """The text of a UTF-8 file, unpacked if its name ends in ``.gz``.

    Raises:
        UserError: it is missing, too large, damaged, or not text.
    """
    try:
        with path.open("rb") as raw:
            packed = gzip.GzipFile(fileobj=raw) if path.suffix == ".gz" else raw
            data = packed.read(MAX_BYTES + 1)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(f"{path} cannot be unpacked: {error}") from None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    if len(data) > MAX_BYTES:
        raise UserError(f"{path} holds more than {MAX_BYTES >> 20} MiB; split it")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text at byte {error.start}") from None
