"""How long work tells a watcher where it is.

Stages of the pipeline report through this small protocol and never print; the command line hands
in a live display, a test or a script hands in nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol


class Progress(Protocol):
    """A watcher. One stage is shown at a time; ``update`` may be called often and must be cheap."""

    def start(self, stage: str, total: int, unit: str = "steps") -> None:
        """A stage of ``total`` units begins (or begins again, after a resume)."""
        ...

    def update(self, done: int, **figures: float) -> None:
        """``done`` units are finished; ``figures`` (loss, tokens/s ...) are worth showing."""
        ...

    def end(self, summary: str = "") -> None:
        """The stage is over; ``summary`` is a sentence to leave behind."""
        ...


class Silent:
    """The watcher that does not look."""

    def start(self, stage: str, total: int, unit: str = "steps") -> None:
        pass

    def update(self, done: int, **figures: float) -> None:
        pass

    def end(self, summary: str = "") -> None:
        pass


@contextmanager
def watched(
    progress: Progress, stage: str, total: int, unit: str
) -> Iterator[Callable[[int, int], None]]:
    """Show a stage while the block runs; yields a ``callback(done, total)``.

    The display ends with the block, also by Ctrl-C. Work counted in other portions than ``total``
    is shown in proportion.
    """
    progress.start(stage, total, unit)

    def callback(done: int, of: int) -> None:
        progress.update(min(done * total // max(1, of), total))

    try:
        yield callback
    finally:
        progress.end()
