"""Live progress: a bar on a terminal, occasional lines elsewhere.

Both show how long the stage has run, and how long it will still take at its current speed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
)
from rich.text import Text

from glassmind.cli.console import console
from glassmind.progress import Pace

_QUIET_SECONDS = 15.0  # seconds between two lines without a terminal
_FIRST_SECONDS = 3.0  # seconds until the first line


class LiveProgress:
    """Shows ``glassmind.progress.Progress`` events on standard error.

    ``with LiveProgress() as progress`` always removes the bar and restores the cursor at the end.
    """

    def __init__(self, on: Console | None = None) -> None:
        self.console = on or console()
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._stage, self._unit, self._total = "", "", 0
        self._pace = Pace()
        self._started = self._next_line = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def start(self, stage: str, total: int, unit: str = "steps") -> None:
        self._close()
        self._stage, self._unit, self._total = stage, unit, total
        self._pace = Pace()
        self._started = time.monotonic()
        self._next_line = self._started + _FIRST_SECONDS
        if self.console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description:<28}"),
                BarColumn(bar_width=28),
                MofNCompleteColumn(),
                TextColumn(unit),
                TextColumn("{task.fields[figures]}"),
                _Times(self._times),
                console=self.console,
            )
            self._bar.start()
            self._task = self._bar.add_task(stage, total=total, figures="")

    def update(self, done: int, **figures: float) -> None:
        text = "  ".join(_figure(name, value) for name, value in figures.items())
        now = time.monotonic()
        self._pace.report(now, done)
        if self._bar is not None:
            self._bar.update(self._task, completed=done, figures=text)
        elif now >= self._next_line and self._pace.rate() is not None:
            self._next_line = now + _QUIET_SECONDS
            where = f"{self._stage}: {done}/{self._total} {self._unit}"
            self.console.print(f"{where}, {self._times()}  {text}".rstrip())

    def _times(self) -> str:
        """``elapsed 0:00:39, left 0:00:09``; without the latter until it can be estimated."""
        now = time.monotonic()
        text = f"elapsed {_clock(now - self._started)}"
        left = self._pace.left(now, self._total)
        return text if left is None else f"{text}, left {_clock(left)}"

    def end(self, summary: str = "") -> None:
        self._close()
        if summary:
            self.console.print(summary)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


class _Times(ProgressColumn):
    """Elapsed and remaining time of the stage that is shown."""

    max_refresh = 0.5

    def __init__(self, times: Callable[[], str]) -> None:
        super().__init__()
        self._text = times

    def render(self, task: Task) -> Text:
        return Text(self._text())


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))


def _figure(name: str, value: float) -> str:
    if name == "tokens_per_second":
        return f"{value:,.0f} tokens/s"
    if name == "megabytes_per_second":
        return f"{value:,.1f} MB/s"
    shown = f"{value:,}" if isinstance(value, int) else f"{value:.3f}"
    return f"{name.replace('_', ' ')} {shown}"
