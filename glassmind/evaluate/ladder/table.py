"""The ladder as a table: coloured in a terminal, plain aligned text in pipes and logs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from glassmind.evaluate.columns import Column, fitting, table_lines, terminal_width
from glassmind.evaluate.ladder.findings import verdict
from glassmind.evaluate.ladder.names import order, slice_order, title
from glassmind.evaluate.run_files import Ladder, LadderRow
from glassmind.evaluate.wording import count, interval, p_value, percent, points

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

COLUMNS = (
    Column("slice", left=True),
    Column("method", left=True),
    Column("n", rank=4),
    Column("accuracy"),
    Column("95 % interval", rank=1),
    Column("against", left=True, rank=3),
    Column("points", rank=2),
    Column("p", rank=2),
    Column("read", rank=5),
    Column("written", rank=5),
    Column("judged", rank=5),
    Column("seconds", rank=5),
)
"""The last four are what a problem takes in the mean: tokens read, written and judged by a
verifier, and seconds."""

_STYLES = {"supported": "green", "lower": "red", "not supported": ""}
_BOX_GAP, _BOX_EDGES = 3, 4  # characters between two cells of a table with lines, and at its ends


def ladder_table(ladder: Ladder, width: int | None = None) -> Table:
    """The ladder as a rich ``Table``, a section for each slice; with the columns that fit into
    ``width`` characters, and without lines where these would cost one more.

    Points and p are green if the paired test supports a gain, red if it supports a loss.
    """
    from rich.box import HEAVY_HEAD
    from rich.table import Table
    from rich.text import Text

    rows = _ordered(ladder)
    cells = [_cells(ladder, row) for row in rows]
    kept, lines = list(range(len(COLUMNS))), True
    if width is not None:
        kept = fitting(COLUMNS, cells, width)
        lines = kept == fitting(COLUMNS, cells, width - _BOX_EDGES, _BOX_GAP) and width >= 80
    table = Table(
        title=f"{ladder.recipe}, seed {ladder.seed}",
        title_justify="left",
        box=HEAVY_HEAD if lines else None,
        pad_edge=lines,
    )
    for place in kept:
        left = COLUMNS[place].left
        table.add_column(COLUMNS[place].heading, justify="left" if left else "right", no_wrap=True)
    for i, row in enumerate(rows):
        style = _STYLES[_judged(ladder, row)]
        first = not i or rows[i - 1].slice != row.slice
        shown = [
            # Text, not str: a method's name is data and must not be read as rich markup.
            Text(
                cells[i][place] if place or first else "",
                style=style if COLUMNS[place].heading in ("points", "p") else "",
            )
            for place in kept
        ]
        last = i + 1 == len(rows) or rows[i + 1].slice != row.slice
        table.add_row(*shown, end_section=last)
    return table


def ladder_text(ladder: Ladder, width: int | None = None) -> str:
    """The same table as plain aligned lines; complete, unless it must fit into ``width``."""
    return "\n".join(table_lines(COLUMNS, [_cells(ladder, r) for r in _ordered(ladder)], width))


def ladder_cells(ladder: Ladder) -> list[tuple[str, ...]]:
    """The headings, and then every row as it is written."""
    rows = [_cells(ladder, row) for row in _ordered(ladder)]
    return [tuple(column.heading for column in COLUMNS), *rows]


def print_ladder(ladder: Ladder, console: Console) -> list[str]:
    """Print the table, as plain text where the console is no terminal or shows no colour. Return
    the headings of columns that had no room."""
    width = terminal_width(console)
    cells = [_cells(ladder, row) for row in _ordered(ladder)]
    if width is not None and console.is_terminal and not console.no_color and _fits(cells, width):
        console.print(ladder_table(ladder, width))
    else:
        # Not through print(): a pipe has no width at which lines ought to be folded.
        console.file.write(ladder_text(ladder, width) + "\n")
    if width is None or not _fits(cells, width):
        return []
    kept = fitting(COLUMNS, cells, width)
    return [column.heading for place, column in enumerate(COLUMNS) if place not in kept]


def _fits(cells: Sequence[tuple[str, ...]], width: int) -> bool:
    """Whether the columns that are always shown fit; else every row is written as lines."""
    lines = table_lines(COLUMNS, cells, width)
    return len(lines) == len(cells) + 1


def _ordered(ladder: Ladder) -> Sequence[LadderRow]:
    return sorted(ladder.rows, key=lambda row: (slice_order(row.slice), order(row.rung)))


def _judged(ladder: Ladder, row: LadderRow) -> str:
    reference = ladder.row(row.against, row.slice) if row.against is not None else None
    return "not supported" if reference is None else verdict(row, reference, row.p_value)


def _cells(ladder: Ladder, row: LadderRow) -> tuple[str, ...]:
    reference = ladder.row(row.against, row.slice) if row.against is not None else None
    return (
        row.slice,
        title(row.rung),
        f"{row.n:,}",
        percent(row.accuracy),
        interval(row.ci_low, row.ci_high),
        "" if reference is None else title(reference.rung),
        "" if reference is None else points(row.accuracy - reference.accuracy),
        "" if row.p_value is None else p_value(row.p_value),
        _known(row.prompt_tokens),
        count(row.completion_tokens),
        _known(row.judged_tokens),
        f"{row.seconds:,.3f}",
    )


def _known(tokens: float | None) -> str:
    return "" if tokens is None else count(tokens)
