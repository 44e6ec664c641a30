"""Limits on connections: how many may be open, and how long one may be idle.

A connection costs the client nothing and takes a file descriptor of the server. A client that sends
half a header and then a byte a minute (a slow loris), or that does not read a long answer, would
keep its connection open forever, and a process without free descriptors can neither accept nor
refuse connections.

So connections are counted. When there are too many, the one that has waited longest for a request
is closed. If all are busy, no more are accepted until one ends; new ones wait in the system's
queue. Once a second ``sweep`` closes those that take too long to send a request or to read an
answer. ``access.gate`` limits the time for a request's body, ``work.engine_thread`` that for its
answer.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import cast

from uvicorn.protocols.http.h11_impl import H11Protocol

_LOG = logging.getLogger("glassmind.serve")

MOST_CONNECTIONS = 1000
FILES_LEFT = 64  # descriptors for everything else: the model, the worker processes, the log
GRACE_SECONDS = 0.5  # a connection younger than this is not closed to make room for another
BACKOFF_SECONDS = 1.0  # the pause after the system refused to open another connection
_LOOK_AGAIN_SECONDS = 0.05
_SYSTEM_IS_FULL = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


@dataclass(frozen=True)
class Patience:
    """How long a connection may take, in seconds.

    ``header`` is the time from the connection to the end of the first request's header. ``idle`` is
    the time between two requests; the next header may take ``header`` more. ``read`` is the time
    in which a client must read some part of a pending answer.
    """

    header: float = 10.0
    idle: float = 30.0
    read: float = 60.0


class Connection(H11Protocol):
    """uvicorn's connection, with the times since which it has been waiting."""

    n_requests = 0
    waiting_since = 0.0  # for a request
    stuck_since: float | None = None  # since the client stopped reading the answer

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.waiting_since = self.loop.time()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self.n_requests += 1
        self.waiting_since = self.loop.time()

    def pause_writing(self) -> None:
        super().pause_writing()
        self.stuck_since = self.loop.time()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.stuck_since = None

    @property
    def at_work(self) -> bool:
        """Whether a request is being read or answered."""
        return self.cycle is not None and not self.cycle.response_complete

    def late(self, now: float, patience: Patience) -> bool:
        """Whether it has been idle for too long."""
        if self.stuck_since is not None and now - self.stuck_since > patience.read:
            return True
        between = patience.idle if self.n_requests else 0.0
        return not self.at_work and now - self.waiting_since > between + patience.header

    def drop(self) -> None:
        """Close it at once and discard what has not been sent."""
        self.transport.abort()


class Doorkeeper:
    """Accepts connections from a listening socket, at most ``most`` at once.

    ``open_connections`` is the set of open connections; ``create`` makes the protocol of a new one.
    """

    def __init__(
        self,
        open_connections: Iterable[asyncio.Protocol],
        create: Callable[[], asyncio.Protocol],
        *,
        most: int,
        patience: Patience,
    ) -> None:
        self._open = cast(set[Connection], open_connections)
        self._create, self._most, self._patience = create, most, patience

    async def accept(self, listening: socket.socket) -> None:
        """Accept connections forever."""
        listening.setblocking(False)
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, _ = await loop.sock_accept(listening)
            except OSError as error:
                if error.errno in _SYSTEM_IS_FULL:
                    _LOG.warning("cannot accept connections: %s", error.strerror)
                    await asyncio.sleep(BACKOFF_SECONDS)
                continue  # the client may also have left before it was accepted
            try:
                while len(self._open) >= self._most:
                    self.make_room()
                    await asyncio.sleep(_LOOK_AGAIN_SECONDS)
                await loop.connect_accepted_socket(self._create, accepted)
            except (OSError, asyncio.CancelledError) as error:
                accepted.close()
                if not isinstance(error, OSError):
                    raise

    async def sweep(self, every: float = 1.0) -> None:
        """Close late connections once a second, forever."""
        loop = asyncio.get_running_loop()
        while True:
            for connection in list(self._open):
                if connection.late(loop.time(), self._patience):
                    connection.drop()
            await asyncio.sleep(every)

    def make_room(self) -> None:
        """Close the connection that has waited longest for a request, unless it is younger than
        ``GRACE_SECONDS``."""
        waiting = [connection for connection in self._open if not connection.at_work]
        oldest = min(waiting, key=lambda connection: connection.waiting_since, default=None)
        if oldest is not None and oldest.loop.time() - oldest.waiting_since > GRACE_SECONDS:
            oldest.drop()


def most_connections(asked: int) -> int:
    """``asked``, or fewer if the system's limit on open files leaves room for fewer. The limit is
    raised first, as far as the system permits."""
    try:
        import resource
    except ImportError:  # Windows, which has no such limit
        return asked
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = asked + FILES_LEFT
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        if most > soft:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            soft = most
        return min(asked, max(1, soft - FILES_LEFT))
    return asked
