"""A limit on how often the same message is logged.

Anybody who can reach the port can cause warnings as often as they like, by malformed requests or
reset connections, and so fill the log. Only the first few of the same message in a minute are
written; the next one written says how many were left out.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

MOST_A_MINUTE = 10  # of the same message
LOGGERS = ("asyncio", "glassmind.serve", "uvicorn.error")
_MOST_KINDS = 256  # different messages that are counted


@dataclass(slots=True)
class _Kind:
    since: float
    written: int = 0
    left_out: int = 0


class Sparing(logging.Filter):
    """Lets ``MOST_A_MINUTE`` records of each kind pass. Records are of one kind if their messages
    are equal before values are filled in."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._kinds: dict[tuple[str, str], _Kind] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is written."""
        now, key = self._clock(), (record.name, str(record.msg))
        if key not in self._kinds and len(self._kinds) >= _MOST_KINDS:
            self._kinds.clear()
        kind = self._kinds.setdefault(key, _Kind(now))
        if now - kind.since >= 60:
            if kind.left_out:
                record.msg = f"{record.msg} (and {kind.left_out} more like it before)"
            kind.since, kind.written, kind.left_out = now, 0, 0
        if kind.written >= MOST_A_MINUTE:
            kind.left_out += 1
            return False
        kind.written += 1
        return True


def keep_small() -> None:
    """Limit the logs of the server, of uvicorn and of asyncio."""
    for name in LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(known, Sparing) for known in logger.filters):
            logger.addFilter(Sparing())
