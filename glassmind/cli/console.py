"""What goes to which stream.

Standard output carries a verb's product and nothing else: an answer, a table, or with ``--json``
one JSON object, so that it can be piped. Everything said *about* the work (progress, warnings,
where the report lies) goes to standard error. Colours, styles and live progress bars appear only
on a terminal, and never with ``NO_COLOR`` set (https://no-color.org).

Text printed through these consoles is taken literally: square brackets in a question or in a
model's output are not markup. Style with ``style=`` or ``rich.text.Text``.
"""

from __future__ import annotations

import functools
import json
import os
import sys
from typing import TYPE_CHECKING

from glassmind.serialization import encode

if TYPE_CHECKING:
    from rich.console import Console

_PIPE_COLUMNS = 160  # without a terminal nothing says how wide a line may be


@functools.cache
def console() -> Console:
    """Return the console on standard error, for everything that is not the product."""
    return _console(stderr=True)


@functools.cache
def out() -> Console:
    """Return the console on standard output, for a verb's product only."""
    return _console(stderr=False)


def print_json(value: object) -> None:
    """Write ``value`` to standard output as one line of JSON.

    Dataclasses become objects, paths their text, and numbers that JSON does not know (NaN,
    infinities) ``null``.
    """
    sys.stdout.write(json.dumps(encode(value), ensure_ascii=False, allow_nan=False) + "\n")
    sys.stdout.flush()


def _console(stderr: bool) -> Console:
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    # rich drops only the colours for NO_COLOR; we also drop bold, cursor moves and live bars.
    plain = bool(os.environ.get("NO_COLOR")) or not stream.isatty()
    return Console(
        stderr=stderr,
        force_terminal=False if plain else None,
        no_color=plain or None,
        width=_PIPE_COLUMNS if plain and not stream.isatty() else None,
        markup=False,
        emoji=False,
        highlight=False,
    )
