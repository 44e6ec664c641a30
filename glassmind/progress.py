"""Reporting the progress of long stages.

Stages of the pipeline report through this small protocol and never print. The command line passes a
live display; tests and scripts need not pass anything.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol


class Progress(Protocol):
    """Receives reports. One stage is shown at a time; ``update`` may be called often and must be
    cheap."""

    def start(self, stage: str, total: int, unit: str = "steps") -> None:
        """A stage of ``total`` units begins, or continues after a resume."""
        ...

    def update(self, done: int, **figures: float) -> None:
        """``done`` units are finished; ``figures`` (loss, tokens/s ...) are shown with them."""
        ...

    def end(self, summary: str = "") -> None:
        """The stage is over; ``summary`` is a sentence that stays on the screen."""
        ...


class Silent:
    """Ignores all reports."""

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

    The display ends with the block, also on Ctrl-C. If the callback counts in other units than
    ``total``, progress is shown in proportion.
    """
    progress.start(stage, total, unit)

    def callback(done: int, of: int) -> None:
        progress.update(min(done * total // max(1, of), total))

    try:
        yield callback
    finally:
        progress.end()


class Pace:
    """The current speed of work, and the time that the rest will take at that speed.

    A mean since the start would include what comes before the first unit, such as compiling, and
    would not show that the machine has become busier. So only the last ``WINDOW`` seconds count,
    and time starts with the first report.
    """

    WINDOW = 30.0
    SHORTEST = 0.5  # seconds; estimates from a shorter time are unsteady

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def report(self, now: float, done: int) -> None:
        """``done`` units were finished at ``now``, in seconds of any monotonic clock."""
        if self._seen and done < self._seen[-1][1]:  # a run that went back to a checkpoint
            self._seen.clear()
        if self._seen and done == self._seen[-1][1]:
            return
        self._seen.append((now, done))
        while len(self._seen) > 2 and now - self._seen[1][0] >= self.WINDOW:
            self._seen.popleft()

    def rate(self) -> float | None:
        """Units per second; ``None`` until there are enough reports."""
        if len(self._seen) < 2:
            return None
        (then, before), (now, done) = self._seen[0], self._seen[-1]
        return (done - before) / (now - then) if now - then >= self.SHORTEST else None

    def left(self, now: float, total: int) -> float | None:
        """Seconds until ``total`` units are finished."""
        rate = self.rate()
        if rate is None:
            return None
        last, done = self._seen[-1]
        return max(0.0, (total - done) / rate - (now - last))
