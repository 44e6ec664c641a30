"""Interpreting the annotation of a field: its parts, and its description for error messages.

``typing`` represents the same type in several ways (``int | None`` is one class, ``Optional[int]``
another); only the functions of this file handle the difference.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import types
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, Union

from glassmind.errors import UserError

NONE_WORD = "none"  # how None is written where there is no null: in TOML, on a command line

SCALARS: dict[Any, str] = {
    bool: "true or false",
    int: "an integer such as 300",
    float: "a number such as 0.02",
    str: 'a text such as "demo"',
    Path: 'a path such as "runs/demo"',
    types.NoneType: f'"{NONE_WORD}"',
    object: "any value",
}


@functools.cache
def field_hints(cls: Any) -> dict[str, Any]:
    """Return the dataclass's annotations, as types rather than as the text they were written."""
    return typing.get_type_hints(cls)


def init_fields(cls: Any) -> dict[str, dataclasses.Field[Any]]:
    """Return the fields that are given to the dataclass's constructor, by name."""
    return _init_fields(cls)


@functools.cache  # a metrics file holds thousands of the same record
def _init_fields(cls: Any) -> dict[str, dataclasses.Field[Any]]:
    return {field.name: field for field in dataclasses.fields(cls) if field.init}


@functools.cache
def union_options(hint: Any) -> list[Any]:
    """Return the members of a union, text last because it accepts every value."""
    if typing.get_origin(hint) not in (Union, types.UnionType):
        return [hint]
    order = {types.NoneType: 0, bool: 1, int: 2, float: 3, Path: 8, str: 9}
    return sorted(typing.get_args(hint), key=lambda option: order.get(option, 5))


def takes_text(hint: Any) -> bool:
    """Whether the text ``"none"`` is itself a value of the field."""
    return any(
        option is str or NONE_WORD in typing.get_args(option) for option in union_options(hint)
    )


def element_hints(hint: Any, length: int) -> list[Any]:
    """Return the types of the elements of a tuple or list, for a value of ``length`` of them."""
    for option in union_options(hint):
        if typing.get_origin(option) is list:
            return [typing.get_args(option)[0]] * length
        if typing.get_origin(option) is tuple:
            arguments = typing.get_args(option)
            if len(arguments) == 2 and arguments[1] is Ellipsis:
                return [arguments[0]] * length
            return list(arguments)
    return []


def table_of(hint: Any) -> Any:
    """Return the dataclass that ``hint`` is or may be, or ``None``."""
    return next(
        (option for option in union_options(hint) if dataclasses.is_dataclass(option)), None
    )


def describe(hint: Any) -> str:
    """Describe the values that a field of this type takes, with an example."""
    origin = typing.get_origin(hint)
    if origin in (Union, types.UnionType):
        # None is described last: "an integer such as 300, or "none"".
        options = sorted(union_options(hint), key=lambda option: option is types.NoneType)
        return ", or ".join(describe(option) for option in options)
    if origin is Literal:
        return "one of " + ", ".join(str(option) for option in typing.get_args(hint))
    if origin is list:
        return f"a list, each element {describe(typing.get_args(hint)[0])}"
    if origin in (dict, Mapping):
        return f"a table, each value {describe(typing.get_args(hint)[1])}"
    if origin is tuple:
        arguments = typing.get_args(hint)
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return f"a list, each element {describe(arguments[0])}"
        return f"a list of {len(arguments)}: " + "; ".join(describe(a) for a in arguments)
    if dataclasses.is_dataclass(hint):
        return "a table with the keys " + ", ".join(init_fields(hint))
    return SCALARS.get(hint, str(hint))


def shown(value: object) -> str:
    """Return the value for a message, cut to 60 characters."""
    try:
        text = repr(value)
    except ValueError:  # Python refuses to write out integers of more than 4,300 digits
        return "a number of thousands of digits"
    return text if len(text) <= 60 else text[:57] + "..."


def place_of(path: tuple[str, ...]) -> str:
    """Return the keys that lead to a value as ``--set`` takes them: ``stages.0.lr``."""
    return ".".join(path) or "the whole"


def wrong_type(hint: Any, value: object, path: tuple[str, ...], where: str) -> UserError:
    """Return the error that says what the field at ``path`` takes, and what it got."""
    spelling = ""
    if typing.get_origin(hint) is Literal and isinstance(value, str):
        spelling = _nearest(value, map(str, typing.get_args(hint)))
    return UserError(
        f"{where}: {place_of(path)} takes {describe(hint)}, not {shown(value)}{spelling}"
    )


def unknown_key(cls: Any, key: object, path: tuple[str, ...], where: str) -> UserError:
    """Return the error that says which keys the dataclass at ``path`` does have."""
    fields = init_fields(cls)
    place = f"the keys of {'.'.join(path)}" if path else "the keys at the top"
    name = ".".join((*path, str(key)[:60]))
    return UserError(
        f"{where}: unknown key {name}{_nearest(str(key), fields)}; "
        f"{place} are {', '.join(fields) or 'none'}"
    )


def _nearest(word: str, options: Iterable[str]) -> str:
    close = difflib.get_close_matches(word[:60], list(options), n=1, cutoff=0.5)
    return f" (did you mean {close[0]}?)" if close else ""
