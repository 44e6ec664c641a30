"""Reading an untrusted tokenizer file: bounded in size, with one-sentence errors.

The file may be truncated, written by another version, or malicious. These are the first steps of
every reader: its bytes, its text, the JSON object in it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from glassmind.errors import UserError

MAX_FILE_BYTES = 64 << 20


def wrong(path: Path, field: str, problem: str) -> UserError:
    """The error for an invalid field."""
    return UserError(f"{path} is not a tokenizer that Glassmind can read: {field} {problem}")


def read_bytes(path: Path) -> bytes:
    """The bytes of a file of bounded size."""
    try:
        if not path.is_file():
            raise UserError(f"there is no tokenizer file {path}")
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise UserError(f"cannot read the tokenizer file {path}: {error.strerror}") from None
    if len(data) > MAX_FILE_BYTES:
        raise wrong(path, "the file", f"is larger than {MAX_FILE_BYTES >> 20} MiB")
    return data


def read_text(path: Path) -> str:
    """The text of a file of bounded size, which must be UTF-8."""
    try:
        return read_bytes(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise wrong(path, "the file", f"is not UTF-8 text at byte {error.start}") from None


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file of bounded size; a repeated key is refused."""
    text = read_text(path)
    try:
        document = json.loads(text, object_pairs_hook=_object_without_repeats)
    except RecursionError:
        raise wrong(path, "the file", "is nested too deeply") from None
    except ValueError as error:
        raise wrong(path, "the file", f"is not valid JSON ({error})") from None
    if not isinstance(document, dict):
        raise wrong(path, "the file", "must hold a JSON object")
    return document


def _object_without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("an object names the same key twice")
    return result
