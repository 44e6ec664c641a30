"""Reads untrusted JSON with every field checked.

``Checked`` is an object of a tokenizer's file whose fields are read with the type that they must
have; any error is a ``UserError`` that names the file and the field.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from glassmind.errors import UserError
from glassmind.serialization import JsonObject
from glassmind.tokenize.tokenizer_file import read_object, wrong

T = TypeVar("T")
_KINDS = {dict: "an object", list: "a list", str: "a string", bool: "true or false"}
_MAX_DEPTH = 16


class Checked:
    """A JSON object; ``where`` is its path in the file, empty for the whole."""

    def __init__(self, path: Path, where: str, values: JsonObject) -> None:
        self.path, self.where, self.values = path, where, values
        if where.count(".") > _MAX_DEPTH:
            raise self.wrong("type", "is nested too deeply")

    def name(self, field: str) -> str:
        """The path of ``field`` in the file: ``model.vocab``."""
        return f"{self.where}.{field}" if self.where else field

    def wrong(self, field: str, problem: str) -> UserError:
        """The error for ``field``."""
        return wrong(self.path, self.name(field), problem)

    def get(self, field: str, kind: type[T]) -> T:
        """The value of ``field``, which is required and must be of ``kind``."""
        value = self.values.get(field)
        if type(value) is not kind:
            raise self.wrong(field, f"must be there and be {_KINDS.get(kind, 'a number')}")
        if kind is str:
            self.check_text(field, str(value))
        return value

    def get_or(self, field: str, kind: type[T], default: T) -> T:
        """The value of ``field``, or ``default`` if it is missing or null."""
        return default if self.values.get(field) is None else self.get(field, kind)

    def maybe(self, field: str, kind: type[T]) -> T | None:
        """The value of ``field``, or ``None`` if it is missing or null."""
        return None if self.values.get(field) is None else self.get(field, kind)

    def one_of(self, field: str, allowed: tuple[str, ...]) -> Any:
        """The value of ``field``, which must be one of ``allowed``."""
        value = self.get(field, str)
        if value not in allowed:
            raise self.wrong(field, f"must be one of {', '.join(allowed)}, not {value[:40]!r}")
        return value

    def object(self, field: str) -> Checked:
        """``field`` as an object, which is required."""
        return Checked(self.path, self.name(field), self.get(field, dict))

    def maybe_object(self, field: str) -> Checked | None:
        """``field`` as an object, or ``None`` if it is missing or null."""
        return None if self.values.get(field) is None else self.object(field)

    def objects(self, field: str) -> Iterator[Checked]:
        """The items of the list ``field``, which must be objects."""
        for index, item in enumerate(self.get(field, list)):
            name = f"{self.name(field)}[{index}]"
            if not isinstance(item, dict):
                raise wrong(self.path, name, "must be an object")
            yield Checked(self.path, name, item)

    def vocab(self, field: str) -> dict[str, int]:
        """``field`` as a vocabulary: spellings to distinct ids from 0 on."""
        values = self.get(field, dict)
        for spelling, token_id in values.items():
            if type(token_id) is not int or token_id < 0:
                raise self.wrong(f"{field}[{spelling[:40]!r}]", "must be an id from 0 on")
        if len(set(values.values())) < len(values):
            raise self.wrong(field, "gives the same id to two tokens")
        self.check_text(field, "".join(values))
        return values

    def check_text(self, field: str, text: str) -> None:
        """Raise ``UserError`` if ``text``, the value of ``field``, cannot be encoded as UTF-8."""
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            raise self.wrong(field, "holds half of a surrogate pair, which is not text") from None


def read_json(path: Path) -> Checked:
    """The JSON object in a file of bounded size."""
    return Checked(path, "", read_object(path))
