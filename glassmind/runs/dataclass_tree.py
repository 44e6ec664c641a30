"""From a tree of plain values to a tree of frozen dataclasses, and back.

A recipe is one nested frozen dataclass: every number of a run in one typed object. People write
it as TOML tables, or change single values of it on the command line (``--set train.steps=300``),
so three small translations are needed, and all of them are directed by the *type annotations* of
the fields, so that a new field needs no parsing code:

* ``from_dict``: what ``tomllib`` (or ``json``) read  →  an instance,
* ``to_dict``: an instance  →  what ``tomli_w`` (or ``json``) can write; the exact inverse,
* ``replace_at`` / ``replace_many``: an instance and ``key=text`` pairs  →  a changed copy.

Field types understood: ``bool, int, float, str, Path, None``, ``Literal[...]``, ``tuple[X, ...]``,
``tuple[A, B]``, unions such as ``int | None``, and dataclasses of these. An integer may stand
where a float is asked for; a boolean never stands for a number. Ranges are each dataclass's own
business: a ``ValueError`` raised by its ``__post_init__`` is passed on with the key's path.

TOML has no null. ``None`` is left out where it is the field's default and written ``"none"``
otherwise, and ``"none"`` is read as ``None`` wherever the field allows it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import tomllib
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, Union

from glassmind.errors import UserError
from glassmind.runs.field_types import (
    NONE_WORD,
    SCALARS,
    describe,
    element_hints,
    field_hints,
    init_fields,
    shown,
    table_of,
    union_options,
    unknown_key,
    wrong_type,
)

T = TypeVar("T")


class _Mismatch(Exception):
    """The value does not have the field's type; the caller knows the key and says so."""


# ---------------------------------------------------------------- public: whole trees


def from_dict(cls: type[T], data: object, where: str) -> T:
    """Build the dataclass ``cls`` from nested plain values.

    ``where`` names the origin in every message, for example ``"recipe demo.toml"``. Fields not
    mentioned keep their defaults. Raises ``UserError`` for an unknown or missing key, a value of
    the wrong type, and a value that the dataclass itself refuses.
    """
    return typing.cast(T, _build(cls, data, (), where))


def to_dict(instance: object) -> dict[str, Any]:
    """Return the dataclass as nested dicts and lists of plain values that TOML and JSON can hold.

    ``from_dict(type(x), to_dict(x), where) == x`` for every tree of the supported types.
    """
    plain: dict[str, Any] = {}
    for field in init_fields(type(instance)).values():
        value = getattr(instance, field.name)
        if value is None and field.default is None:
            continue
        plain[field.name] = _to_plain(value)
    return plain


def replace_at(instance: T, key: str, text: str, where: str = "--set") -> T:
    """Return a copy of the tree with the value at the dotted ``key`` read from ``text``.

    ``replace_at(recipe, "train.steps", "300")``; an element of a tuple is named by its index,
    ``stages.0.steps``. Raises ``UserError`` as ``from_dict`` does.
    """
    return replace_many(instance, [(key, text)], where)


def replace_many(instance: T, changes: Iterable[tuple[str, str]], where: str = "--set") -> T:
    """Apply several ``(key, text)`` changes at once; the last one wins where a key comes twice.

    The changed tree is checked only when all of them are in place, so two values that are valid
    only together (``d_model`` and ``n_heads``) can be changed in any order.
    """
    tree: dict[str, Any] = {}
    for key, text in changes:
        *parents, leaf = key.split(".")
        branch = tree
        for parent in parents:
            branch = branch.setdefault(parent, {})
            if not isinstance(branch, dict):
                raise UserError(f"{where}: {key} is set, and so is a key above it; keep one")
        if isinstance(branch.get(leaf), dict):
            raise UserError(f"{where}: {key} is set, and so is a key below it; keep one")
        branch[leaf] = text
    return typing.cast(T, _rebuild(type(instance), instance, tree, (), where))


# ---------------------------------------------------------------- building


def _build(cls: Any, data: object, path: tuple[str, ...], where: str) -> Any:
    if not isinstance(data, Mapping):
        name = ".".join(path) or "the whole"
        raise UserError(f"{where}: {name} must be a table of keys, not {shown(data)}")
    fields, hints = init_fields(cls), field_hints(cls)
    values: dict[str, Any] = {}
    for key, value in data.items():
        if key not in fields:
            raise unknown_key(cls, key, path, where)
        values[key] = _convert(hints[key], value, (*path, key), where)
    return _construct(cls, values, path, where)


def _construct(cls: Any, values: dict[str, Any], path: tuple[str, ...], where: str) -> Any:
    for name, field in init_fields(cls).items():
        required = (
            field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        )
        if required and name not in values:
            wanted = describe(field_hints(cls)[name])
            raise UserError(f"{where}: {'.'.join((*path, name))} is missing; it takes {wanted}")
    try:
        return cls(**values)
    except (ValueError, UserError) as error:
        place = f"{'.'.join(path)}: " if path else ""
        raise UserError(f"{where}: {place}{error}") from error


def _rebuild(cls: Any, value: Any, tree: dict[str, Any], path: tuple[str, ...], where: str) -> Any:
    """Return a copy of the dataclass ``value`` (or a new one, if ``None``) changed by ``tree``."""
    fields, hints = init_fields(cls), field_hints(cls)
    values = {} if value is None else {name: getattr(value, name) for name in fields}
    for key, change in tree.items():
        if key not in fields:
            raise unknown_key(cls, key, path, where)
        values[key] = _changed(hints[key], values.get(key), change, (*path, key), where)
    return _construct(cls, values, path, where)


def _changed(hint: Any, old: Any, change: Any, path: tuple[str, ...], where: str) -> Any:
    """Return what becomes of one field's value: ``change`` is its new text, or a subtree."""
    if isinstance(change, str):
        return _parse(hint, change, path, where)
    table = type(old) if dataclasses.is_dataclass(old) else table_of(hint)
    if table is not None:
        return _rebuild(table, old, change, path, where)
    if isinstance(old, tuple):
        elements = list(old)
        for key, subchange in change.items():
            if not (key.isascii() and key.isdigit() and int(key) < len(elements)):
                known = f"0 to {len(elements) - 1}" if elements else "none, it is empty"
                raise UserError(f"{where}: {'.'.join(path)} has no element {key!r}; known: {known}")
            place = int(key)
            element_hint = element_hints(hint, len(elements))[place]
            elements[place] = _changed(
                element_hint, elements[place], subchange, (*path, key), where
            )
        return tuple(elements)
    raise UserError(f"{where}: {'.'.join(path)} takes {describe(hint)} and has no keys below it")


# ---------------------------------------------------------------- one value


def _convert(hint: Any, value: object, path: tuple[str, ...], where: str) -> Any:
    try:
        return _typed(hint, value, path, where)
    except _Mismatch:
        raise wrong_type(hint, value, path, where) from None


def _typed(hint: Any, value: Any, path: tuple[str, ...], where: str) -> Any:
    """Return the plain ``value`` as the annotated type ``hint``; ``_Mismatch`` if it is not one."""
    origin = typing.get_origin(hint)
    if origin in (Union, types.UnionType):
        for option in union_options(hint):
            try:
                return _typed(option, value, path, where)
            except _Mismatch:
                continue
        raise _Mismatch
    if origin is Literal:
        for option in typing.get_args(hint):
            if type(option) is type(value) and option == value:
                return option
        raise _Mismatch
    if origin is tuple:
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise _Mismatch
        hints = element_hints(hint, len(value))
        if len(hints) != len(value):
            raise _Mismatch
        return tuple(
            _convert(element_hint, element, (*path, str(place)), where)
            for place, (element_hint, element) in enumerate(zip(hints, value, strict=True))
        )
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, Mapping):
            raise _Mismatch
        return _build(hint, value, path, where)
    if hint is types.NoneType and (value is None or value == NONE_WORD):
        return None
    if hint is Path and isinstance(value, (str, Path)):
        return Path(value)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if hint is float and is_number and value == value:  # NaN is the number that is not itself
        try:
            return float(value)
        except OverflowError:  # an integer of more than 308 digits
            raise _Mismatch from None
    if hint in (bool, int, str) and type(value) is hint:
        return value
    if hint not in SCALARS:
        raise TypeError(f"{'.'.join(path)} has a type that no recipe can hold: {hint}")
    raise _Mismatch


def _parse(hint: Any, text: str, path: tuple[str, ...], where: str) -> Any:
    """Read ``text``, as typed on a command line, as a value of the annotated type ``hint``."""
    refusal: UserError | None = None
    for reading in _readings(hint, text):
        try:
            return _typed(hint, reading, path, where)
        except _Mismatch:
            continue
        except UserError as error:  # the value is a list, and one of its elements is wrong
            refusal = refusal or error
    if refusal is not None:
        raise refusal
    table = table_of(hint)
    if table is not None:
        keys = ", ".join(init_fields(table))
        raise UserError(f"{where}: {'.'.join(path)} is a table; set one of its keys: {keys}")
    raise wrong_type(hint, text, path, where)


def _readings(hint: Any, text: str) -> list[Any]:
    """Return the plain values that ``text`` can stand for, the most specific first."""
    text = text.strip()
    readings: list[Any] = []
    if text.lower() == NONE_WORD:
        readings.append(None)
    if text.lower() in ("true", "false"):
        readings.append(text.lower() == "true")
    for number in (int, float):
        try:
            readings.append(number(text))
        except ValueError:  # not a number, or one with thousands of digits
            continue
    tuples = [t for t in union_options(hint) if typing.get_origin(t) is tuple]
    if tuples:
        # What is not TOML, 1,2,3 without brackets or texts without quotes, is read below.
        with contextlib.suppress(ValueError, RecursionError):
            readings.append(tomllib.loads(f"value = {text}")["value"])
        inner = text[1:-1] if text[:1] + text[-1:] in ("[]", "()") else text
        pieces = [piece for piece in inner.split(",") if piece.strip()]
        for hint_of_tuple in tuples:
            elements = [
                _readings(element, piece)[0]
                for element, piece in zip(
                    element_hints(hint_of_tuple, len(pieces)), pieces, strict=False
                )
            ]
            if len(elements) == len(pieces):
                readings.append(elements)
    # A field of plain text takes 2024 or true as it stands.
    return [text, *readings] if hint is str else [*readings, text]


def _to_plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return to_dict(value)
    if isinstance(value, tuple):
        return [_to_plain(element) for element in value]
    if isinstance(value, Path):
        return value.as_posix()
    return NONE_WORD if value is None else value
