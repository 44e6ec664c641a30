"""SIGTERM while training, which a cluster, a container or a reboot sends before it kills a process.

The signal may arrive in the middle of a step, so it is only recorded. The trainer checks after each
step, and if it has arrived writes a checkpoint and ends. A second signal ends the process at once.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

EXIT_TERMINATED = 128 + signal.SIGTERM


class Termination:
    """Whether this process has received SIGTERM."""

    def __init__(self) -> None:
        self.asked = False

    @contextmanager
    def noticed(self) -> Iterator[None]:
        """Record the signal inside the block instead of ending the process.

        This works only in the main thread; in others it does nothing.
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
