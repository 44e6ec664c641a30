"""Which output goes to which stream.

Standard output has only a verb's result: an answer, a table, or with ``--json`` one JSON object, so
that it can be piped. Messages *about* the work (progress, warnings, the path of the report) go to
standard error. Colours, styles and live progress bars appear only on a terminal, and never with
``NO_COLOR`` set (https://no-color.org).

Text printed through these consoles is literal: square brackets in a question or in a model's output
are not markup. Style with ``style=`` or ``rich.text.Text``. Control characters are always shown as
escapes (``glassmind/printable.py``): only the styles and cursor moves of rich itself reach the
terminal.
"""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from glassmind.printable import printable_json
from glassmind.serialization import encode

if TYPE_CHECKING:
    from rich.console import Console

_PIPE_COLUMNS = 160  # without a terminal there is no line width


@functools.cache
def console() -> Console:
    """Return the console on standard error, for everything but the result."""
    return _console(stderr=True)


@functools.cache
def out() -> Console:
    """Return the console on standard output, for a verb's result only."""
    return _console(stderr=False)


def print_json(value: object) -> None:
    """Write ``value`` to standard output as one line of JSON.

    Dataclasses become objects, paths strings, and numbers that JSON does not have (NaN, infinities)
    ``null``.
    """
    text = json.dumps(encode(value), ensure_ascii=False, allow_nan=False)
    sys.stdout.write(printable_json(text) + "\n")
    sys.stdout.flush()


def say_left_out(headings: Sequence[str]) -> None:
    """Name the columns of a table that do not fit the window, if there are any."""
    if headings:
        from glassmind.evaluate.columns import no_room

        console().print(no_room(headings), style="dim")


def _console(stderr: bool) -> Console:
    from glassmind.cli.literal_console import LiteralConsole

    stream = sys.stderr if stderr else sys.stdout
    # rich drops only the colours for NO_COLOR; we also drop bold, cursor moves and live bars.
    plain = bool(os.environ.get("NO_COLOR")) or not stream.isatty()
    return LiteralConsole(
        stderr=stderr,
        force_terminal=False if plain else None,
        no_color=plain or None,
        width=_PIPE_COLUMNS if plain and not stream.isatty() else None,
        markup=False,
        emoji=False,
        highlight=False,
    )
