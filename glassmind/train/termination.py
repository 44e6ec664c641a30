"""SIGTERM while training: what a cluster, a container or a reboot sends before it kills.

The signal arrives in the middle of a step. It is only noted, and the trainer asks after each step,
writes a checkpoint and ends. A second signal ends the process at once.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

EXIT_TERMINATED = 128 + signal.SIGTERM


class Termination:
    """Whether this process was asked to end."""

    def __init__(self) -> None:
        self.asked = False

    @contextmanager
    def noticed(self) -> Iterator[None]:
        """Note the signal inside the block instead of dying of it.

        Only the main thread can; elsewhere the signal does what it did before.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.getsignal(signal.SIGTERM)

        def note(number: int, frame: FrameType | None) -> None:
            self.asked = True
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

        signal.signal(signal.SIGTERM, note)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)
