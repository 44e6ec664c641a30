"""From the output of ``json`` or ``tomllib`` to instances of dataclasses.

A file may have been edited by hand, cut short, or written by another version. It is checked once,
when it is read, against the annotations of the dataclass it should hold. A value that does not fit
raises a ``UserError`` that names the file and the place in it::

    recipe demo.toml: train.steps takes an integer such as 300, not 'many'

The supported types are ``bool, int, float, str, Path, None``, ``object`` (any value, unchanged),
``Literal[...]``, ``tuple[X, ...]``, ``tuple[A, B]``, ``list[X]``, ``dict[str, X]`` and
``Mapping[str, X]``, unions such as ``int | None``, and dataclasses of these. An integer is accepted
for a float; a boolean is never accepted for a number, nor is NaN. Each dataclass checks its own
ranges: a ``ValueError`` raised by its ``__post_init__`` is passed on with the place in front.

TOML has no null. The text ``"none"`` is therefore read as ``None`` by every field that allows
``None`` and does not take texts.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, Union

from glassmind.errors import UserError
from glassmind.serialization.field_types import (
    NONE_WORD,
    SCALARS,
    describe,
    element_hints,
    field_hints,
    init_fields,
    place_of,
    shown,
    takes_text,
    union_options,
    unknown_key,
    wrong_type,
)

T = TypeVar("T")
UnknownKeys = Literal["refuse", "ignore"]
_PLAIN = (bool, int, str)


class Mismatch(Exception):
    """The value does not have the field's type; the caller knows the place and reports it."""


def decode(kind: type[T], data: object, where: str, *, unknown_keys: UnknownKeys = "refuse") -> T:
    """Return ``data``, a tree of plain values, as an instance of ``kind``.

    ``where`` names the origin in every message, for example ``"recipe demo.toml"``. Fields not
    mentioned keep their defaults. ``unknown_keys="ignore"`` is for files that a later version may
    extend; in files that people write, an unknown key is a spelling mistake.

    Raises:
        UserError: a key is unknown or missing, a value has the wrong type, or a dataclass refuses
            its values.
    """
    decoder = Decoder(where, unknown_keys)
    build = decoder.record if dataclasses.is_dataclass(kind) else decoder.field
    try:
        return typing.cast(T, build(kind, data, ()))
    except RecursionError:
        raise UserError(f"{where} is nested too deeply") from None


@dataclass(frozen=True, slots=True)
class Decoder:
    """The rules of one ``decode``, for code that builds a tree in another order (``--set``).

    ``path`` is the keys and indices that lead to a value, from the top.
    """

    where: str
    unknown_keys: UnknownKeys = "refuse"

    def field(self, hint: Any, value: object, path: tuple[str, ...]) -> Any:
        """``value`` as the annotated type ``hint``; ``UserError`` if it is not one."""
        try:
            return self.value(hint, value, path)
        except Mismatch:
            raise wrong_type(hint, value, path, self.where) from None

    def record(self, cls: Any, data: object, path: tuple[str, ...]) -> Any:
        """The dataclass ``cls`` from a table of keys."""
        if not isinstance(data, Mapping):
            raise UserError(f"{self.where}: the whole must be a table of keys, not {shown(data)}")
        fields, hints = init_fields(cls), field_hints(cls)
        values: dict[str, Any] = {}
        for key, value in data.items():
            if key in fields:
                values[key] = self.field(hints[key], value, (*path, key))
            elif self.unknown_keys == "refuse":
                raise unknown_key(cls, key, path, self.where)
        return self.construct(cls, values, path)

    def construct(self, cls: Any, values: dict[str, Any], path: tuple[str, ...]) -> Any:
        """The dataclass ``cls`` from decoded fields; fields without a default are required."""
        for name, field in init_fields(cls).items():
            if name not in values and (
                field.default is dataclasses.MISSING
                and field.default_factory is dataclasses.MISSING
            ):
                wanted = describe(field_hints(cls)[name])
                place = place_of((*path, name))
                raise UserError(f"{self.where}: {place} is missing; it takes {wanted}")
        try:
            return cls(**values)
        except (ValueError, UserError) as error:
            place = f"{place_of(path)}: " if path else ""
            raise UserError(f"{self.where}: {place}{error}") from error

    def value(self, hint: Any, value: Any, path: tuple[str, ...]) -> Any:
        """``value`` as the annotated type ``hint``; ``Mismatch`` if it is not one."""
        if hint in _PLAIN:
            if type(value) is not hint:  # isinstance would take True for an integer
                raise Mismatch
            return value
        if hint is float:
            return _number(value)
        if hint is object or hint is Any:
            return value
        origin = typing.get_origin(hint)
        if origin in (Union, types.UnionType):
            return self._union(hint, value, path)
        if origin is Literal:
            for option in typing.get_args(hint):
                if type(option) is type(value) and option == value:
                    return option
            raise Mismatch
        if origin is tuple or origin is list:
            return self._elements(hint, origin, value, path)
        if origin in (dict, Mapping):
            if not isinstance(value, Mapping) or not all(type(key) is str for key in value):
                raise Mismatch
            inner = typing.get_args(hint)[1]
            return {key: self.field(inner, item, (*path, key)) for key, item in value.items()}
        if dataclasses.is_dataclass(hint):
            if not isinstance(value, Mapping):
                raise Mismatch
            return self.record(hint, value, path)
        if hint is types.NoneType and value is None:
            return None
        if hint is Path and isinstance(value, (str, Path)):
            return Path(value)
        if hint not in SCALARS:
            raise TypeError(f"{place_of(path)} has a type that no recipe can hold: {hint}")
        raise Mismatch

    def _union(self, hint: Any, value: Any, path: tuple[str, ...]) -> Any:
        options = union_options(hint)
        if options[0] is types.NoneType and (
            value is None or (value == NONE_WORD and not takes_text(hint))
        ):
            return None
        for option in options:
            try:
                return self.value(option, value, path)
            except Mismatch:
                continue
        raise Mismatch

    def _elements(self, hint: Any, kind: type, value: Any, path: tuple[str, ...]) -> Any:
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise Mismatch
        hints = element_hints(hint, len(value))
        if len(hints) != len(value):
            raise Mismatch
        plain = hints[0] if hints and hints[0] in _PLAIN and len(set(hints)) == 1 else None
        if plain is not None and all(type(element) is plain for element in value):
            return kind(value)  # for long lists of ids: the place of each element is not tracked
        if set(hints) == {float} and all(type(x) is float and x == x for x in value):
            return kind(value)
        return kind(
            self.field(element_hint, element, (*path, str(place)))
            for place, (element_hint, element) in enumerate(zip(hints, value, strict=True))
        )


def _number(value: object) -> float:
    if type(value) is float and value == value:  # only NaN differs from itself
        return value
    if type(value) is int:
        try:
            return float(value)
        except OverflowError:  # an integer of more than 308 digits
            raise Mismatch from None
    raise Mismatch
