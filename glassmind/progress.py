"""How long work tells a watcher where it is.

Stages of the pipeline report through this small protocol and never print; the command line hands
in a live display, a test or a script hands in nothing.
"""

from __future__ import annotations

from collections import deque
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


class Pace:
    """How fast work goes now, and how long the rest will take at that pace.

    A mean since the start would also count what came before the first unit (compiling takes longer
    than many a stage), and would not notice that the machine has become busier. So only the last
    ``WINDOW`` seconds count, and time starts with the first report.
    """

    WINDOW = 30.0
    SHORTEST = 0.5  # seconds: what is estimated from less jumps about

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def report(self, now: float, done: int) -> None:
        """``done`` units were finished at ``now``, in seconds of any clock that only goes on."""
        if self._seen and done < self._seen[-1][1]:  # a run that went back to a checkpoint
            self._seen.clear()
        if self._seen and done == self._seen[-1][1]:
            return
        self._seen.append((now, done))
        while len(self._seen) > 2 and now - self._seen[1][0] >= self.WINDOW:
            self._seen.popleft()

    def rate(self) -> float | None:
        """Units a second; ``None`` as long as too little is known."""
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
