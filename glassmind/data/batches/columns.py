"""Columns: values for each token of a document, in addition to its id.

An objective that needs to know something new about every token (an advantage, an old
log-probability, a weight) declares a column, and the code that makes the documents fills it in:

    ADVANTAGE = Column("advantage", "float32", 0.0)

    Document(ids, {COMPLETION: written, ADVANTAGE: advantages})     # arrays of len(ids)
    batch[ADVANTAGE]                                                # (B, T), aligned with batch.ids

Packing, choosing rows, sharing a batch among processes, moving it to the device and saving it after
a failed step treat all columns alike. None of them refers to a column by name.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from glassmind.errors import UserError

Values = TypeVar("Values")


@dataclass(frozen=True, slots=True)
class Column:
    """The declaration of a column. Two with the same ``name`` are the same column.

    ``fill`` is the value of tokens that have none: padding, and documents without the column.
    """

    name: str
    dtype: Literal["bool", "int64", "float32"] = field(compare=False)
    fill: float = field(compare=False)

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise UserError(f"a column's name must be an identifier, not {self.name!r}")

    def filled(self, shape: tuple[int, ...]) -> NDArray[Any]:
        """An array of nothing but fill values."""
        return np.full(shape, self.fill, self.dtype)


COMPLETION = Column("completion", "bool", False)
"""True for tokens that the model should produce, False for those of the prompt."""

LABEL = Column("label", "float32", math.nan)
"""The target of a verifier or a classifier at a token; NaN for no target."""


def pick(columns: Mapping[Column, Values], column: Column) -> Values:
    """The values of ``column``.

    Raises:
        UserError: no document has this column.
    """
    if column not in columns:
        known = ", ".join(sorted(c.name for c in columns)) or "no columns"
        raise UserError(
            f"the objective needs the column {column.name!r}, but the data has {known}: "
            "the code that makes the documents must fill it in"
        )
    return columns[column]
