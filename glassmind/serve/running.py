"""Running the server under uvicorn, with a graceful shutdown.

On SIGTERM or Ctrl-C the server accepts no new connections and gives running requests at most
``drain_seconds`` to finish. After that the rest are refused; a stream gets an error event and is
ended. A second Ctrl-C ends the server at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import signal
import socket
from collections.abc import Callable, Sequence

import uvicorn
from fastapi import FastAPI

from glassmind.errors import UserError
from glassmind.serve.connections import (
    MOST_CONNECTIONS,
    Connection,
    Doorkeeper,
    Patience,
    most_connections,
)
from glassmind.serve.log import keep_small

BACKLOG = 256
HEADER_BYTES = 64 << 10
LAST_WORDS_SECONDS = 5  # for sending the refusals at the end, before connections are cut


def bound_socket(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 chooses a free port.

    Raises:
        UserError: the address is empty or not this machine's, or the port is in use.
    """
    if not host.strip():
        raise UserError(
            "an empty --host would listen on every address of this machine: give 0.0.0.0 or :: "
            "if that is meant, else 127.0.0.1"
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise UserError(
            f"cannot listen on {host} port {port}: {(error.strerror or str(error)).lower()}; "
            "try another --port or --host"
        ) from None
    return listening


def serve(
    app: FastAPI,
    listening: socket.socket,
    *,
    drain_seconds: float,
    started: Callable[[], None],
    connections: int = MOST_CONNECTIONS,
    proxies: Sequence[str] = (),
) -> None:
    """Serve ``app``, made by ``create_app``, until stopped. ``started`` is called when the server
    accepts requests.

    ``proxies`` are the addresses whose ``X-Forwarded-For`` is trusted; by default none.
    """
    # uvicorn raises the signal that stopped it again after the shutdown; ignore that one.
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    server = Server(
        app,
        drain_seconds=drain_seconds,
        started=started,
        connections=most_connections(connections),
        proxies=proxies,
    )
    try:
        with contextlib.suppress(KeyboardInterrupt):
            server.run(sockets=[listening])
    finally:
        signal.signal(signal.SIGTERM, before)


class Server(uvicorn.Server):
    """uvicorn's server with limits on connections, and a shutdown that answers every request."""

    def __init__(
        self,
        app: FastAPI,
        *,
        drain_seconds: float,
        started: Callable[[], None] = lambda: None,
        connections: int = MOST_CONNECTIONS,
        patience: Patience | None = None,
        proxies: Sequence[str] = (),
    ) -> None:
        self._patience = patience or Patience()
        super().__init__(
            uvicorn.Config(
                app,
                http=Connection,
                log_level="warning",
                access_log=False,
                server_header=False,
                proxy_headers=bool(proxies),
                forwarded_allow_ips=list(proxies),
                timeout_keep_alive=max(1, round(self._patience.idle)),
                timeout_graceful_shutdown=round(drain_seconds + LAST_WORDS_SECONDS),
                h11_max_incomplete_event_size=HEADER_BYTES,
                ws="none",
            )
        )
        self._drain_seconds, self._connections = drain_seconds, connections
        self._say_started, self._end_requests = started, app.state.end_requests
        self._tasks: list[asyncio.Task[None]] = []

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start accepting connections."""
        keep_small()
        await super().startup([])  # no sockets: uvicorn would accept without a limit
        create = functools.partial(Connection, self.config, self.server_state, self.lifespan.state)
        door = Doorkeeper(
            self.server_state.connections,
            create,
            most=self._connections,
            patience=self._patience,
        )
        self._tasks = [asyncio.create_task(door.sweep())]
        self._tasks += [asyncio.create_task(door.accept(one)) for one in sockets or ()]
        self._say_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish running requests; refuse those not finished after ``drain_seconds``."""
        sweep, *accepting = self._tasks
        for task in accepting:
            task.cancel()
        await asyncio.gather(*accepting, return_exceptions=True)
        late = asyncio.get_running_loop().call_later(self._drain_seconds, self._end_requests)
        await super().shutdown(sockets)
        late.cancel()
        sweep.cancel()
