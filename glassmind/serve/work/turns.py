"""A lock that clients get in turn, however many requests one of them sends.

In a single queue, a client with many requests delays all others. Here every client has a queue of
its own, and the queues are served in turn (round robin).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict, deque
from collections.abc import AsyncIterator

from glassmind.serve.access.refusals import Refusal


class Turns:
    """A lock for one event loop that clients get in turn; at most ``most_waiting`` requests of one
    client may wait for it. ``what`` they wait for is part of the message to further requests.
    """

    def __init__(self, most_waiting: int, what: str) -> None:
        self._most_waiting, self._what = most_waiting, what
        self._taken = False
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    @contextlib.asynccontextmanager
    async def of(self, client: str) -> AsyncIterator[None]:
        """Wait for the turn of ``client``, and hold the lock within the block.

        Raises ``Refusal`` (429) if too many of its requests are waiting.
        """
        if self._taken:
            await self._wait(client)
        self._taken = True
        try:
            yield
        finally:
            self._hand_on()

    async def _wait(self, client: str) -> None:
        queue = self._waiting.setdefault(client, deque())
        if len(queue) >= self._most_waiting:
            raise Refusal(
                429,
                f"{len(queue)} of your requests wait for {self._what}, the most that may wait",
                code="busy",
                retry_after=1,
            )
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._hand_on()  # it was given the lock but will not use it
            elif turn in queue:
                queue.remove(turn)
                if not queue:
                    self._waiting.pop(client, None)
            raise

    def _hand_on(self) -> None:
        """Give the lock to the client that has waited longest since its last turn."""
        self._taken = False
        while self._waiting:
            client, queue = self._waiting.popitem(last=False)
            turn = queue.popleft()
            if queue:
                self._waiting[client] = queue  # behind all others
            if not turn.done():
                self._taken = True
                turn.set_result(None)
                return
