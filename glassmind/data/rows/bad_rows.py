"""Rows of a file that cannot be used.

By default a file with bad rows is refused, with a message that says what is wrong and how many rows
are bad. With ``on_bad_row = "skip"`` in a recipe they are left out, and a message says which.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

from glassmind.errors import UserError

Parsed = TypeVar("Parsed")

OnBadRow = Literal["stop", "skip"]

SHOWN = 10
"""The most bad rows that a message shows; ``glassmind data check`` lists the others."""

MOST = 100_000
"""After more bad rows than this, reading ends: it is probably the wrong file."""

MAX_MEMORY = 4 << 30
"""The most bytes of memory that the rows of one file may take, whatever the file's own size."""

SKIP = '--skip-bad-rows (on_bad_row = "skip" in a recipe) skips'


class RowFault(UserError):
    """Why a row cannot be used, as the end of a sentence: "needs an answer"."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a file. ``where`` is its place for messages, ``mine.csv line 3``, and ``name`` for
    an id, ``mine-3``; ``values`` is its JSON value, or its cells by column."""

    where: str
    name: str
    values: Any


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be used, and why: ``where`` and ``reason`` make a sentence."""

    where: str
    reason: str

    def __str__(self) -> str:
        return f"{self.where} {self.reason}"


@dataclass
class Checked(Generic[Parsed]):
    """The rows of ``file``: those that can be used, and those that cannot."""

    file: str
    good: list[Parsed] = field(default_factory=list)
    bad: list[BadRow] = field(default_factory=list)

    @property
    def n_rows(self) -> int:
        return len(self.good) + len(self.bad)

    def add_bad(self, row: BadRow) -> None:
        """Add a bad row; raises ``UserError`` if there are too many."""
        self.bad.append(row)
        if len(self.bad) > MOST:
            raise UserError(
                f"{self.file} has more than {MOST:,} rows that cannot be used; check that it is "
                f"the right file:{self._listed()}"
            )

    def usable(self, on_bad_row: OnBadRow, say: Callable[[str], object]) -> list[Parsed]:
        """The good rows; ``say`` is called with a message about those left out.

        Raises:
            UserError: there are bad rows and they are not to be skipped, or all rows are bad.
        """
        if not self.bad:
            return self.good
        if on_bad_row == "stop" or not self.good:
            raise UserError(self._refusal())
        rows = "1 row was" if len(self.bad) == 1 else f"{len(self.bad):,} rows were"
        say(f"{rows} left out, of {self.n_rows:,} in {self.file}:{self._listed()}")
        return self.good

    def _refusal(self) -> str:
        if self.n_rows == 1:
            return str(self.bad[0])
        if len(self.bad) == 1:
            return f"{self.bad[0]}; it is the only bad row of {self.n_rows:,}: {SKIP} it"
        if not self.good:
            return f"none of the {self.n_rows:,} rows of {self.file} can be used:{self._listed()}"
        return (
            f"{len(self.bad):,} of the {self.n_rows:,} rows of {self.file} cannot be used; {SKIP} "
            f"them:{self._listed()}"
        )

    def _listed(self) -> str:
        lines = [f"\n  {row}" for row in self.bad[:SHOWN]]
        if len(self.bad) > SHOWN:
            lines.append(
                f"\n  and {len(self.bad) - SHOWN:,} more, which `glassmind data check` lists"
            )
        return "".join(lines)


def check_rows(
    file: str,
    rows: Iterable[Row | BadRow],
    parse: Callable[[Row], Parsed],
    size: Callable[[Parsed], int],
) -> Checked[Parsed]:
    """Parse every row; one for which ``parse`` raises ``RowFault`` is bad.

    ``size`` is about how many bytes of memory a parsed row takes.

    Raises:
        UserError: together they take more than ``MAX_MEMORY``.
    """
    found: Checked[Parsed] = Checked(file)
    n_bytes = 0
    for row in rows:
        if isinstance(row, BadRow):
            found.add_bad(row)
            continue
        try:
            parsed = parse(row)
        except RowFault as fault:
            found.add_bad(BadRow(row.where, str(fault)))
            continue
        n_bytes += size(parsed)
        if n_bytes > MAX_MEMORY:
            raise UserError(
                f"{row.where}: the rows up to it take more than {MAX_MEMORY >> 30} GiB of memory; "
                "split the file"
            )
        found.good.append(parsed)
    return found


def silence(sentence: str) -> None:
    """Ignores messages: the default of ``say``."""
