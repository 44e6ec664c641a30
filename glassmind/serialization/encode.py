"""From instances of dataclasses to trees that ``json`` and ``tomli_w`` can write.

The inverse of ``decode``.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from glassmind.serialization.field_types import NONE_WORD, init_fields
from glassmind.serialization.json_values import JsonValue


def encode(value: object) -> JsonValue:
    """Return a dataclass, or a tuple, list or dict of them, as a tree that JSON can hold.

    ``decode(type(x), encode(x), where) == x`` for every tree of the types ``decode`` understands,
    with one exception: JSON has neither NaN nor infinity, so both become ``None``.

    Raises:
        TypeError: it contains a value of another type, such as a tensor.
    """
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if dataclasses.is_dataclass(value):
        return {name: encode(getattr(value, name)) for name in init_fields(type(value))}
    if isinstance(value, (tuple, list)):
        return [encode(element) for element in value]
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise TypeError("the keys of a JSON object are texts")
        return {key: encode(item) for key, item in value.items()}
    if isinstance(value, Path):
        return value.as_posix()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def encode_toml(record: object) -> dict[str, Any]:
    """Return a dataclass as tables and lists that TOML can hold.

    TOML has no null: a ``None`` is left out where it is the field's default, and is ``"none"``
    otherwise. Numbers that are infinite stay so.
    """
    plain: dict[str, Any] = {}
    for field in init_fields(type(record)).values():
        value = getattr(record, field.name)
        if value is not None or field.default is not None:
            plain[field.name] = _toml(value)
    return plain


def _toml(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return encode_toml(value)
    if isinstance(value, (tuple, list)):
        return [_toml(element) for element in value]
    if isinstance(value, Mapping):
        return {key: _toml(item) for key, item in value.items()}
    if isinstance(value, Path):
        return value.as_posix()
    return NONE_WORD if value is None else value
