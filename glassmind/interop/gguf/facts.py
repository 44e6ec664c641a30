"""The facts of one architecture in a GGUF, read one by one.

Each fact is read with the type that it must have. Facts that were not read in the end are either
harmless or refused by name: a model that is almost the one in the file would still answer, and its
wrong logits might go unnoticed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from glassmind.errors import UserError

_KINDS = {int: "whole number", float: "number from 0 up", bool: "yes or no", str: "text"}


class Facts:
    """The facts of one architecture; each is read with the type that it must have."""

    def __init__(self, metadata: Mapping[str, object], architecture: str, path: Path) -> None:
        self.path, self.prefix = path, f"{architecture}."
        self.values = {
            name.removeprefix(self.prefix): value
            for name, value in metadata.items()
            if name.startswith(self.prefix)
        }
        self.seen: set[str] = set()

    def wrong(self, name: str, problem: str) -> UserError:
        return UserError(f"{self.path}: {self.prefix}{name} {problem}")

    def get(self, name: str, default: Any) -> Any:
        """The fact, of the type of ``default``; an array counts if all its elements are equal.

        Raises:
            UserError: it has another type, is negative, or differs from layer to layer.
        """
        self.seen.add(name)
        value: Any = self.values.get(name, default)
        if isinstance(value, list):
            if not value or any(element != value[0] for element in value):
                raise self.wrong(name, "differs from layer to layer, which cannot be expressed")
            value = value[0]
        kinds = (int, float) if type(default) is float else (type(default),)
        if type(value) not in kinds or (type(value) is not str and not 0 <= value < 2**40):
            raise self.wrong(name, f"must be a {_KINDS[type(default)]}, not {value!r:.60}")
        return float(value) if type(default) is float else value

    def must_be(self, name: str, *allowed: object) -> None:
        """Raise ``UserError`` if the fact exists and is none of ``allowed``."""
        self.seen.add(name)
        value = self.values.get(name, allowed[0])
        if not any(value == one or _close(value, one) for one in allowed):
            raise self.wrong(name, f"is {value!r:.60}; a model can be loaded with {allowed[0]!r}")

    def refuse_others(self) -> None:
        """Raise ``UserError`` for a fact that was not read, unless its value means "off"."""
        for name, value in self.values.items():
            if name not in self.seen and value not in (0, False, "", "none"):
                raise self.wrong(name, f"is {value!r:.60}, which cannot be expressed here")


def _close(value: object, other: object) -> bool:
    return isinstance(value, float) and isinstance(other, float) and math.isclose(value, other)
