"""Ctrl-C, pressed at a chosen step."""

from __future__ import annotations

from glassmind.progress import Silent


class Stop(Silent):
    """Presses Ctrl-C when step ``at`` has been shown."""

    def __init__(self, at: int) -> None:
        self.at = at

    def update(self, done: int, **figures: float) -> None:
        if figures and done == self.at:
            raise KeyboardInterrupt
