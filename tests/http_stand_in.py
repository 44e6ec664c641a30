"""A server that behaves as a test says: well, badly, or not at all."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Answer:
    """What the server sends: ``body`` as JSON, or as it is where it is bytes."""

    body: Any
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    promised: int | None = None  # Content-Length, where it is not the body's


Respond = Callable[[str, dict[str, Any]], Answer]
"""From the path and the body of a request (empty for a GET) to the answer."""


@dataclass
class StandIn:
    address: str
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)


@contextlib.contextmanager
def stand_in(respond: Respond) -> Iterator[StandIn]:
    """Such a server in a thread of its own; it notes what it is asked."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer({})

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            self._answer(json.loads(self.rfile.read(length)))

        def _answer(self, body: dict[str, Any]) -> None:
            found.asked.append((self.path, body))
            found.headers.append(dict(self.headers))
            answer = respond(self.path, body)
            data = (
                answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
            )
            promised = len(data) if answer.promised is None else answer.promised
            with contextlib.suppress(OSError):  # whoever asked may have gone
                self.send_response(answer.status)
                for name, value in {"Content-Length": str(promised), **answer.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = StandIn(f"http://127.0.0.1:{server.server_address[1]}/v1")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
