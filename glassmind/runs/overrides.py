"""Changing single values of a recipe by their dotted names, as ``--set train.steps=300`` does.

A recipe is one nested frozen dataclass. ``replace_at`` and ``replace_many`` return a changed copy
of it. A value from the command line is text; the field's annotation decides how it is read, and the
result is checked as if it came from a file.
"""

from __future__ import annotations

import contextlib
import dataclasses
import tomllib
import typing
from collections.abc import Iterable
from typing import Any, TypeVar

from glassmind.errors import UserError
from glassmind.serialization.decode import Decoder, Mismatch
from glassmind.serialization.field_types import (
    NONE_WORD,
    describe,
    element_hints,
    field_hints,
    init_fields,
    place_of,
    table_of,
    union_options,
    unknown_key,
    wrong_type,
)

T = TypeVar("T")


def replace_at(instance: T, key: str, text: str, where: str = "--set") -> T:
    """Return a copy of the tree with the value at the dotted ``key`` read from ``text``.

    ``replace_at(recipe, "train.steps", "300")``; an element of a tuple is named by its index,
    ``stages.0.steps``. Raises ``UserError`` as ``decode`` does.
    """
    return replace_many(instance, [(key, text)], where)


def replace_many(instance: T, changes: Iterable[tuple[str, str]], where: str = "--set") -> T:
    """Apply several ``(key, text)`` changes at once; if a key is repeated, the last one counts.

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


def _rebuild(cls: Any, value: Any, tree: dict[str, Any], path: tuple[str, ...], where: str) -> Any:
    """Return a copy of the dataclass ``value`` (or a new one, if ``None``) changed by ``tree``."""
    fields, hints = init_fields(cls), field_hints(cls)
    values = {} if value is None else {name: getattr(value, name) for name in fields}
    for key, change in tree.items():
        if key not in fields:
            raise unknown_key(cls, key, path, where)
        values[key] = _changed(hints[key], values.get(key), change, (*path, key), where)
    return Decoder(where).construct(cls, values, path)


def _changed(hint: Any, old: Any, change: Any, path: tuple[str, ...], where: str) -> Any:
    """Return the changed value of one field: ``change`` is its new text, or a subtree."""
    if isinstance(change, str):
        return _parse(hint, change, path, where)
    table = type(old) if dataclasses.is_dataclass(old) else table_of(hint)
    if table is not None:
        return _rebuild(table, old, change, path, where)
    if typing.get_origin(hint) is dict:
        inner = typing.get_args(hint)[1]
        changed = {
            key: _changed(inner, old.get(key), subchange, (*path, key), where)
            for key, subchange in change.items()
        }
        return {**old, **changed}
    if isinstance(old, tuple):
        elements = list(old)
        for key, subchange in change.items():
            if not (key.isascii() and key.isdigit() and int(key) < len(elements)):
                known = f"0 to {len(elements) - 1}" if elements else "none, it is empty"
                raise UserError(f"{where}: {place_of(path)} has no element {key!r}; known: {known}")
            place = int(key)
            element_hint = element_hints(hint, len(elements))[place]
            elements[place] = _changed(
                element_hint, elements[place], subchange, (*path, key), where
            )
        return tuple(elements)
    raise UserError(f"{where}: {place_of(path)} takes {describe(hint)} and has no keys below it")


def _parse(hint: Any, text: str, path: tuple[str, ...], where: str) -> Any:
    """Read ``text``, as typed on a command line, as a value of the annotated type ``hint``."""
    refusal: UserError | None = None
    for reading in _readings(hint, text):
        try:
            return Decoder(where).value(hint, reading, path)
        except Mismatch:
            continue
        except UserError as error:  # the value is a list, and one of its elements is wrong
            refusal = refusal or error
    if refusal is not None:
        raise refusal
    table = table_of(hint)
    if table is not None:
        keys = ", ".join(init_fields(table))
        raise UserError(f"{where}: {place_of(path)} is a table; set one of its keys: {keys}")
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
        # Text that is not TOML (1,2,3 without brackets, words without quotes) is read below.
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
    # A field of plain text takes 2024 or true literally.
    return [text, *readings] if hint is str else [*readings, text]
