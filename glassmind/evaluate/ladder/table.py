"""The ladder as a table: coloured in a terminal, plain aligned text in pipes and logs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from glassmind.evaluate.ladder.findings import verdict
from glassmind.evaluate.ladder.names import order, slice_order, title
from glassmind.evaluate.run_files import Ladder, LadderRow
from glassmind.evaluate.wording import count, interval, p_value, percent, points

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_HEADINGS = (
    "slice",
    "method",
    "n",
    "accuracy",
    "95 % interval",
    "against",
    "points",
    "p",
    "read",
    "written",
    "judged",
    "seconds",
)
_LEFT = {"slice", "method", "against"}
_STYLES = {"supported": "green", "lower": "red", "not supported": ""}


def ladder_table(ladder: Ladder) -> Table:
    """The ladder as a rich ``Table``, a section for each slice.

    The last columns are the mean cost of a problem: tokens read, written and judged by a verifier,
    and seconds.

    Points and p are green if the paired test supports a gain, red if it supports a loss.
    """
    from rich.table import Table
    from rich.text import Text

    table = Table(title=f"{ladder.recipe}, seed {ladder.seed}", title_justify="left")
    for heading in _HEADINGS:
        table.add_column(heading, justify="left" if heading in _LEFT else "right", no_wrap=True)
    rows = _ordered(ladder)
    for i, row in enumerate(rows):
        style = _STYLES[_judged(ladder, row)]
        cells = [
            # Text, not str: a method's name is data and must not be read as rich markup.
            Text(cell, style=style if heading in ("points", "p") else "")
            for heading, cell in zip(_HEADINGS, _cells(ladder, row), strict=True)
        ]
        if i and rows[i - 1].slice == row.slice:
            cells[0] = Text("")
        last = i + 1 == len(rows) or rows[i + 1].slice != row.slice
        table.add_row(*cells, end_section=last)
    return table


def ladder_text(ladder: Ladder) -> str:
    """The same table as plain aligned lines, every row complete, for pipes and logs."""
    lines = [_HEADINGS, *(_cells(ladder, row) for row in _ordered(ladder))]
    widths = [max(len(line[i]) for line in lines) for i in range(len(_HEADINGS))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if heading in _LEFT else cell.rjust(width)
            for heading, cell, width in zip(_HEADINGS, line, widths, strict=True)
        ).rstrip()
        for line in lines
    )


def print_ladder(ladder: Ladder, console: Console) -> None:
    """Print the table; as plain text if the console is not a terminal or has no colours."""
    if console.is_terminal and not console.no_color:
        console.print(ladder_table(ladder))
    else:
        # Not with print(), which would fold lines although a pipe has no width.
        console.file.write(ladder_text(ladder) + "\n")


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
