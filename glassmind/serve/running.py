"""Running the server under uvicorn, with a graceful shutdown.

On SIGTERM or Ctrl-C the server accepts no new connections, finishes running requests for at most
``drain_seconds``, and exits.
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
IDLE_SECONDS = 30  # an idle connection is closed after so many seconds


def bound_socket(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 chooses a free port.

    Raises:
        UserError: the address is not this machine's, or the port is in use.
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
    """Serve ``app`` until stopped. ``started`` is called when the server accepts requests."""
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
    # uvicorn raises the signal that ended it once more; ignore it.
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        with contextlib.suppress(KeyboardInterrupt):
            Server(config, started).run(sockets=[listening])
    finally:
        signal.signal(signal.SIGTERM, before)


class Server(uvicorn.Server):
    """uvicorn's server, with a callback when it has started."""

    def __init__(self, config: uvicorn.Config, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._say_started = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._say_started()
