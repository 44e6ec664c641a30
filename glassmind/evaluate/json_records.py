"""From parsed JSON to typed records, with an error that names the place.

A run folder may have been edited, truncated or made by another program. Instead of letting a
``KeyError`` surface deep inside a drawing routine, everything is checked once at the door
against the annotations of a dataclass: ``examples.json: [3].chains[0].steps should be a list``.
Keys a record does not know are ignored, so that later versions may write more.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import types
import typing
from typing import Any, TypeVar

from glassmind.errors import UserError

T = TypeVar("T")

_NAMES = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}


def decode(kind: type[T], value: Any, where: str) -> T:
    """``value`` (from ``json.loads``) as an instance of ``kind``.

    ``kind`` is built from ``int``, ``float``, ``str``, ``bool``, ``object`` (anything), unions,
    ``tuple[X, ...]`` (a JSON list), ``dict[str, X]`` and dataclasses of these, whose fields with a
    default may be missing. ``where`` starts every message. Raises ``UserError``.
    """
    return typing.cast(T, _decode(kind, value, where))


def _decode(kind: Any, value: Any, where: str) -> Any:
    if kind is object:
        return value
    if dataclasses.is_dataclass(kind):
        return _decode_record(kind, value, where)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in arguments:
            return None
        (inner,) = (argument for argument in arguments if argument is not type(None))
        return _decode(inner, value, where)
    if origin is tuple:
        if not isinstance(value, list):
            raise UserError(f"{where} should be a list, not {_short(value)}")
        return tuple(
            _decode(arguments[0], item, _at(where, f"[{i}]")) for i, item in enumerate(value)
        )
    if origin is dict:
        if not isinstance(value, dict):
            raise UserError(f"{where} should be an object, not {_short(value)}")
        return {
            key: _decode(arguments[1], item, _at(where, f".{key}")) for key, item in value.items()
        }
    if kind is float and type(value) is int and abs(value) < 2**53:
        return float(value)
    # type() rather than isinstance(): in Python true is an int, in JSON it is not.
    if type(value) is not kind or (kind is float and not math.isfinite(value)):
        raise UserError(f"{where} should be {_NAMES[kind]}, not {_short(value)}")
    return value


def _decode_record(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise UserError(f"{where} should be an object, not {_short(value)}")
    hints = _hints(kind)
    found = {}
    for field in dataclasses.fields(kind):
        if field.name in value:
            place = _at(where, f".{field.name}")
            found[field.name] = _decode(hints[field.name], value[field.name], place)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise UserError(f"{where} lacks {field.name!r}")
    return kind(**found)


def _at(where: str, part: str) -> str:
    """``votes.json:`` and ``[0]`` make ``votes.json: [0]``, to which ``.k`` adds ``[0].k``."""
    return f"{where} {part.removeprefix('.')}" if where.endswith(":") else where + part


@functools.cache  # a metrics file holds thousands of the same record
def _hints(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
