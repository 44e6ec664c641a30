"""Reading one field at a time from JSON that other programs define, such as ``config.json``.

Our own formats are dataclasses, which ``serialization.decode`` reads as a whole. Here the same
setting has different names in different families, a missing field has the other library's default,
and only the fields that a family uses are read. So each field is read by name, with a type and
bounds that keep its value harmless.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glassmind.errors import UserError
from glassmind.serialization import read_object

MOST_SIZE = 1 << 40  # of any count or width: nothing overflows 64 bits when three are multiplied


def read_fields(path: Path) -> Fields:
    """The members of the JSON object that a file holds.

    Raises:
        UserError: the file is missing, too large, or not a JSON object.
    """
    return Fields(read_object(path, nonfinite="keep"), str(path))


def shown(value: object, most: int = 60) -> str:
    """An untrusted value for use in a message: short, and without control characters."""
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    text = text if text.isprintable() else ascii(text)[1:-1]
    return text if len(text) <= most else text[: most - 1] + "…"


@dataclass(frozen=True)
class Fields:
    """The members of a JSON object, with the name of the file for error messages.

    Each getter returns ``default`` if the member is missing, and raises ``UserError`` if it has the
    wrong type, or is missing without a default (``...``).
    """

    members: Mapping[str, object]
    where: str

    def has(self, name: str) -> bool:
        """Whether the member is there and not null."""
        return self.members.get(name) is not None

    def wrong(self, name: str, remedy: str) -> UserError:
        """The error for a member; ``remedy`` completes the sentence."""
        value = shown(self.members[name]) if name in self.members else "missing"
        return UserError(f"{self.where}: {shown(name)} ({value}) {remedy}")

    def size(self, name: str, default: Any = ...) -> int:
        """A whole number from 0 up."""
        value = self._get(name, default)
        if type(value) is not int or not 0 <= value <= MOST_SIZE:  # a bool is an int as well
            raise self.wrong(name, "must be a whole number from 0 up")
        return value

    def number(self, name: str, default: Any = ...) -> float:
        """A finite number."""
        value = self._get(name, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self.wrong(name, "must be a number")
        if not abs(value) <= 1e30:  # an integer may be too large for a float, and a NaN is neither
            raise self.wrong(name, "must be a number below 1e30")
        return float(value)

    def flag(self, name: str, default: Any = ...) -> bool:
        """True or false."""
        value = self._get(name, default)
        if not isinstance(value, bool):
            raise self.wrong(name, "must be true or false")
        return value

    def word(self, name: str, default: Any = ...) -> str:
        """A string."""
        value = self._get(name, default)
        if not isinstance(value, str):
            raise self.wrong(name, "must be a string")
        return value

    def words(self, name: str) -> list[str]:
        """A list of strings."""
        value = self._get(name, ...)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.wrong(name, "must be a list of strings")
        return value

    def sizes(self, name: str) -> list[int]:
        """A list of whole numbers from 0 up."""
        value = self._get(name, ...)
        if not isinstance(value, list) or not all(
            type(item) is int and 0 <= item <= MOST_SIZE for item in value
        ):
            raise self.wrong(name, "must be a list of whole numbers from 0 up")
        return value

    def table(self, name: str) -> Fields:
        """A nested object; empty if it is missing or null."""
        value = self.members.get(name)
        if value is None:
            value = {}
        if not isinstance(value, dict):
            raise self.wrong(name, "must be an object")
        return Fields(value, f"{self.where}: {name}")

    def _get(self, name: str, default: Any) -> Any:
        if name in self.members:
            return self.members[name]
        if default is ...:
            raise UserError(f"{self.where}: {name} is missing")
        return default
