"""Reading an untrusted tokenizer file: bounded in size, with one-sentence errors.

The file may be truncated, written by another version, or malicious. These are the first steps of
every reader: its bytes, its text, the JSON object in it.
"""

from __future__ import annotations

from pathlib import Path

from glassmind.errors import UserError
from glassmind.serialization import JsonObject, parse_object

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


def read_object(path: Path) -> JsonObject:
    """The JSON object in a file of bounded size; a repeated key is refused."""
    return parse_object(read_bytes(path), str(path), nonfinite="keep")
