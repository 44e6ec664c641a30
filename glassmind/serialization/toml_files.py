"""Reading TOML that nobody vouches for: bounded, and one sentence for whatever is wrong."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from glassmind.errors import UserError

MAX_TOML_BYTES = 1 << 20
"""Of a file; recipes and settings are a few kilobytes."""

MAX_KEY_PARTS = 32
"""Of a dotted key. The parser keeps every beginning of a key, which takes memory in proportion to
the square of its parts."""

_PART = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')"""
# Where a key may begin: in a line, in a table's header, in an inline table.
_LONG_KEY = re.compile(
    rf"(?:^[ \t]*|[\[{{,][ \t]*)(?:{_PART}[ \t]*\.[ \t]*){{{MAX_KEY_PARTS}}}", re.MULTILINE
)


def parse_toml(text: str, where: str) -> dict[str, Any]:
    """The tables of a TOML text; ``where`` names its origin in messages.

    Raises:
        UserError: it is not TOML, too long, nested too deeply, has a key of more than
            ``MAX_KEY_PARTS`` parts, or a number of thousands of digits.
    """
    if len(text) > MAX_TOML_BYTES:
        raise UserError(
            f"{where} is longer than {MAX_TOML_BYTES >> 20} MiB, too long for what it is"
        )
    long = _LONG_KEY.search(text)
    if long is not None:
        line = text.count("\n", 0, long.end()) + 1
        raise UserError(f"{where}, line {line}: a key has more than {MAX_KEY_PARTS} parts")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise UserError(f"{where} is not valid TOML: it is nested too deeply") from None
    except ValueError as error:  # also an integer of more than 4,300 digits
        raise UserError(f"{where} is not valid TOML: {error}") from None


def read_toml(path: Path, where: str = "") -> dict[str, Any]:
    """``parse_toml`` for a file.

    Raises:
        UserError: it is missing or cannot be read, too, or is not UTF-8.
    """
    where = where or str(path)
    if not path.is_file():
        raise UserError(f"{where} is missing or not a file")
    try:
        with path.open("rb") as file:
            data = file.read(MAX_TOML_BYTES + 1)
        return parse_toml(data.decode("utf-8"), where)
    except UnicodeDecodeError as error:
        raise UserError(f"{where} is not UTF-8 text: {error}") from None
    except OSError as error:
        raise UserError(f"cannot read {where}: {error.strerror or error}") from None
