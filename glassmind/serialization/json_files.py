"""Reading untrusted JSON, and reading and writing records as JSON files.

A JSON file may come from the internet, from another program or from an interrupted copy. Reading
it takes bounded memory and either returns a value or raises a ``UserError`` that names the file.
Python's parser is more liberal than the format; here ``NaN``, ``Infinity`` and numbers too large
for a float are refused, and so is an object that has a key twice, because programs disagree on
which of the two counts.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any, Literal, TypeVar

from glassmind.errors import UserError
from glassmind.files import write_json
from glassmind.serialization.decode import UnknownKeys, decode
from glassmind.serialization.encode import encode
from glassmind.serialization.field_types import shown
from glassmind.serialization.json_values import JsonObject

T = TypeVar("T")

MAX_BYTES = 64 << 20
"""Larger files are refused. Configs, indices and results stay below ten megabytes."""

MOST_RESULT = 1e300
"""The largest number among results: sums, shares and logarithms of such numbers are floats."""

NonFinite = Literal["refuse", "null", "keep"]


def parse_json(
    text: str | bytes, where: str, *, nonfinite: NonFinite = "refuse", most: float = math.inf
) -> Any:
    """Return the value of a JSON text; ``where`` names its origin in messages.

    ``nonfinite`` says how to treat ``NaN``, ``Infinity`` and numbers too large for a float, which
    are not JSON: they are refused, read as ``None``, or kept as Python reads them. ``most`` is the
    largest number, of either sign, that is accepted.

    Raises:
        UserError: it is not UTF-8, not JSON, nested too deeply, has a key twice, or a number
            beyond ``most``.
    """

    def moderate(value: float) -> float:
        if abs(value) > most:
            raise UserError(f"{where}: the number {shown(value)} is larger than {most:g}")
        return value

    def number(name: str) -> float | None:
        value = float(name)  # also of "NaN" and "-Infinity"
        if math.isfinite(value):
            return moderate(value)
        if nonfinite == "keep":
            return value
        if nonfinite == "null":
            return None
        raise UserError(f"{where} is not valid JSON: {name[:40]} is not a JSON number")

    def object_of(pairs: list[tuple[str, Any]]) -> JsonObject:
        members = dict(pairs)
        if len(members) < len(pairs):
            (twice, _), *_ = Counter(key for key, _ in pairs).most_common(1)
            raise UserError(f"{where}: the key {shown(twice)} is there twice")
        return members

    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8")
        return json.loads(
            text,
            object_pairs_hook=object_of,
            parse_constant=number,
            parse_float=number,
            parse_int=(lambda digits: moderate(int(digits))) if math.isfinite(most) else None,
        )
    except RecursionError:
        raise UserError(f"{where} is not valid JSON: it is nested too deeply") from None
    except UnicodeDecodeError as error:
        raise UserError(
            f"{where} is not valid JSON: it is not UTF-8 text at byte {error.start}"
        ) from None
    except ValueError as error:  # bad JSON, or an integer of more than 4,300 digits
        raise UserError(f"{where} is not valid JSON: {error}") from None


def parse_object(text: str | bytes, where: str, *, nonfinite: NonFinite = "refuse") -> JsonObject:
    """``parse_json`` for a text that must hold an object.

    Raises:
        UserError: it does not, or is not valid JSON.
    """
    value = parse_json(text, where, nonfinite=nonfinite)
    if not isinstance(value, dict):
        raise UserError(f"{where} must hold a JSON object, not {shown(value)}")
    return value


def read_json(path: Path, *, nonfinite: NonFinite = "refuse", most: float = math.inf) -> Any:
    """Return the value of a JSON file.

    Raises:
        UserError: it is missing, larger than ``MAX_BYTES``, cannot be read, is not valid JSON, or
            has a number beyond ``most``.
    """
    return parse_json(_bytes(path), str(path), nonfinite=nonfinite, most=most)


def read_object(path: Path, *, nonfinite: NonFinite = "refuse") -> JsonObject:
    """``read_json`` for a file that must hold an object."""
    return parse_object(_bytes(path), str(path), nonfinite=nonfinite)


def read_record(kind: type[T], path: Path, *, unknown_keys: UnknownKeys = "ignore") -> T:
    """Read what ``write_record`` wrote: ``kind`` is the dataclass, or for example a tuple of one.

    Keys that this version does not know are ignored, unless ``unknown_keys`` refuses them.

    Raises:
        UserError: the file is missing or damaged, or does not hold a ``kind``.
    """
    return decode(kind, read_json(path), str(path), unknown_keys=unknown_keys)


def write_record(path: Path, record: object) -> None:
    """Write a dataclass, or a tuple, list or dict of them, as JSON and atomically.

    Raises:
        UserError: the file cannot be written.
    """
    write_json(path, encode(record))


def _bytes(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise UserError(f"{path} is missing or not a file")
        if path.stat().st_size > MAX_BYTES:
            raise UserError(
                f"{path} is larger than {MAX_BYTES >> 20} MiB, too large for what it is"
            )
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from None
