"""Tables that fit a terminal: where there is no room, whole columns go, never digits.

A column has a rank. In a window that is too narrow the columns of the highest rank are left out
first, and those of rank 0 never; where even these do not fit, each row becomes a few lines. Without
a terminal nothing is left out, because a pipe or a file has no width.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

GAP = 2


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its heading, whether it is text (which stands at the left), and its rank."""

    heading: str
    left: bool = False
    rank: int = 0


def fitting(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int, gap: int = GAP
) -> list[int]:
    """The places of the columns that a table of at most ``width`` characters shows.

    ``gap`` characters are between two columns. The columns of rank 0 are among them even if they
    alone are too wide.
    """
    widths = _widths(columns, rows)
    kept = list(range(len(columns)))
    while sum(widths[place] + gap for place in kept) - gap > width:
        least = max(columns[place].rank for place in kept)
        if least == 0:
            break
        kept = [place for place in kept if columns[place].rank < least]
    return kept


def table_lines(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int | None = None
) -> list[str]:
    """The heading and a line for each row, aligned; at most ``width`` characters, if that is given.

    Where the columns of rank 0 are wider, every row is written as its first cell and, below it, a
    line for each other column.
    """
    kept = list(range(len(columns))) if width is None else fitting(columns, rows, width)
    widths = _widths(columns, rows)
    if width is not None and sum(widths[place] + GAP for place in kept) - GAP > width:
        return [line for row in rows for line in _upright(columns, row, width)]
    lines = []
    for cells in ([column.heading for column in columns], *rows):
        aligned = [
            cells[place].ljust(widths[place])
            if columns[place].left
            else cells[place].rjust(widths[place])
            for place in kept
        ]
        lines.append((" " * GAP).join(aligned).rstrip())
    return lines


def print_table(
    console: Console,
    columns: Sequence[Column],
    rows: Sequence[Sequence[str]],
    *,
    bold: Sequence[int] = (),
) -> list[str]:
    """Print the table; return the headings of the columns that had no room.

    ``bold`` are the numbers of rows to stress.
    """
    width = terminal_width(console)
    lines = table_lines(columns, rows, width)
    upright = len(lines) != len(rows) + 1
    for number, line in enumerate(lines):
        stressed = not upright and (number == 0 or number - 1 in bold)
        console.print(line, style="bold" if stressed else "", soft_wrap=True)
    if width is None or upright:
        return []
    kept = fitting(columns, rows, width)
    return [column.heading for place, column in enumerate(columns) if place not in kept]


def terminal_width(console: Console) -> int | None:
    """Characters in a line of the terminal; ``None`` where the output goes elsewhere."""
    return console.width if console.file.isatty() or console.is_terminal else None


def no_room(headings: Sequence[str]) -> str:
    """A sentence about columns that were left out."""
    return f"no room here for {', '.join(filter(None, headings))}: a wider window shows all columns"


def _widths(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> list[int]:
    return [
        max(len(column.heading), *(len(row[place]) for row in rows)) if rows
        else len(column.heading)
        for place, column in enumerate(columns)
    ]  # fmt: skip


def _upright(columns: Sequence[Column], row: Sequence[str], width: int) -> list[str]:
    """One row as lines of ``heading  cell``; long texts are folded between words."""
    lines = textwrap.wrap(row[0], width, break_long_words=False, break_on_hyphens=False) or [""]
    label = max(len(column.heading) for column in columns)
    for column, cell in zip(columns[1:], row[1:], strict=True):
        if cell:
            first = f"  {column.heading:<{label}}  "
            room = max(8, width - len(first))
            folded = textwrap.wrap(cell, room, break_long_words=False, break_on_hyphens=False)
            lines.append(first + folded[0])
            lines += [" " * len(first) + line for line in folded[1:]]
    return lines
