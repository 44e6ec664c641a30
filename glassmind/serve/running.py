"""A server from its start to its end: uvicorn, and what it does when it is told to stop.

On SIGTERM, or Ctrl-C, no new connection is taken, what is being answered is finished, for at most
``drain_seconds``, and then the process ends.
"""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp

from glassmind.errors import UserError

BACKLOG = 256
IDLE_SECONDS = 30  # a connection that says nothing for so long is closed


def bound_socket(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 is any that is free.

    Raises:
        UserError: the address is not this machine's, or the port is taken.
    """
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
            "another --port or --host may do"
        ) from None
    return listening


def serve(
    app: ASGIApp, listening: socket.socket, *, drain_seconds: float, started: Callable[[], None]
) -> None:
    """Serve ``app`` until told to stop. ``started`` is called when requests are answered."""
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=max(1, round(drain_seconds)),
        h11_max_incomplete_event_size=64 << 10,  # of headers
        ws="none",
    )
    # uvicorn sends itself the signal that ended it once more, which then has nothing left to do.
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        with contextlib.suppress(KeyboardInterrupt):
            Server(config, started).run(sockets=[listening])
    finally:
        signal.signal(signal.SIGTERM, before)


class Server(uvicorn.Server):
    """uvicorn's server, which says when it has started."""

    def __init__(self, config: uvicorn.Config, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._say_started = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._say_started()
