"""Live progress: a bar on a terminal, occasional lines elsewhere."""

from __future__ import annotations

import time
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from glassmind.cli.console import console

_QUIET_SECONDS = 15.0  # seconds between two lines without a terminal


class LiveProgress:
    """Shows ``glassmind.progress.Progress`` events on standard error.

    ``with LiveProgress() as progress`` always removes the bar and restores the cursor at the end.
    """

    def __init__(self, on: Console | None = None) -> None:
        self.console = on or console()
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._stage, self._unit, self._total = "", "", 0
        self._first = 0
        self._started = self._printed = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def start(self, stage: str, total: int, unit: str = "steps") -> None:
        self._close()
        self._stage, self._unit, self._total = stage, unit, total
        self._first = -1
        self._started = self._printed = time.monotonic()
        if self.console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description:<28}"),
                BarColumn(bar_width=28),
                MofNCompleteColumn(),
                TextColumn(unit),
                TextColumn("{task.fields[figures]}"),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
                console=self.console,
            )
            self._bar.start()
            self._task = self._bar.add_task(stage, total=total, figures="")

    def update(self, done: int, **figures: float) -> None:
        text = "  ".join(_figure(name, value) for name, value in figures.items())
        if self._first < 0:
            self._first = done
        if self._bar is not None:
            self._bar.update(self._task, completed=done, figures=text)
        elif time.monotonic() - self._printed >= _QUIET_SECONDS:
            self._printed = time.monotonic()
            spent = self._printed - self._started
            rate = (done - self._first) / spent if done > self._first else 0.0
            left = f", {(self._total - done) / rate:.0f} s left" if rate else ""
            self.console.print(f"{self._stage}: {done}/{self._total} {self._unit}{left}  {text}")

    def end(self, summary: str = "") -> None:
        self._close()
        if summary:
            self.console.print(summary)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _figure(name: str, value: float) -> str:
    if name == "tokens_per_second":
        return f"{value:,.0f} tokens/s"
    if name == "megabytes_per_second":
        return f"{value:,.1f} MB/s"
    shown = f"{value:,}" if isinstance(value, int) else f"{value:.3f}"
    return f"{name.replace('_', ' ')} {shown}"
