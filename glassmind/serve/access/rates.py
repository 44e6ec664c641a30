"""Rate limits per client.

Each client has a token bucket, which holds up to ``per_minute`` tokens and is refilled steadily; a
request takes one token. So a client may send a burst, but no more than ``per_minute`` on average.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass

from glassmind.serve.access.refusals import Refusal

MOST_CLIENTS = 4096  # kept in memory; the least recently seen is dropped first


@dataclass(slots=True)
class _Client:
    bucket: float
    filled_at: float
    running: int = 0


class Rates:
    """Requests per minute and concurrent requests of each client; 0 is no limit."""

    def __init__(self, per_minute: int, at_once: int) -> None:
        self._per_minute, self._at_once = per_minute, at_once
        self._clients: OrderedDict[str, _Client] = OrderedDict()

    def enter(self, name: str, now: float) -> None:
        """Begin a request of client ``name``, at ``now`` in seconds; ``leave`` ends it.

        Raises ``Refusal`` (429) if the client is over a limit.
        """
        client = self._clients.setdefault(name, _Client(self._per_minute, now))
        self._clients.move_to_end(name)
        if self._at_once and client.running >= self._at_once:
            raise Refusal(
                429,
                f"{client.running} of your requests are running, the most that may run at once",
                code="concurrency_limit_exceeded",
                retry_after=1,
            )
        if self._per_minute:
            rate = self._per_minute / 60
            filled = client.bucket + (now - client.filled_at) * rate
            client.bucket, client.filled_at = min(filled, self._per_minute), now
            if client.bucket < 1:
                raise Refusal(
                    429,
                    f"more than {self._per_minute} requests a minute",
                    code="rate_limit_exceeded",
                    retry_after=math.ceil((1 - client.bucket) / rate),
                )
            client.bucket -= 1
        client.running += 1
        self._forget()

    def leave(self, name: str) -> None:
        """End a request of ``name``."""
        client = self._clients.get(name)
        if client is not None:
            client.running -= 1

    def _forget(self) -> None:
        """Forget clients with nothing running, oldest first."""
        while len(self._clients) > MOST_CLIENTS:
            idle = next((name for name, c in self._clients.items() if c.running == 0), None)
            if idle is None:
                return
            del self._clients[idle]
