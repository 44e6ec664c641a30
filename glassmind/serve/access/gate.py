"""The checks that every request passes before it is handled.

The checks run from the cheapest to the most expensive: is the request meant for this server; is its
key known; does the client send too many requests; is the body too large or too slow. After them the
body is in memory, complete and of bounded size, and can be parsed. The memory of all bodies and
answers together is bounded too (``memory``). The page, its files and ``/health`` need no key,
because they reveal nothing.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from glassmind.serve.access.callers import Caller
from glassmind.serve.access.hosts import Hosts
from glassmind.serve.access.keys import Keys
from glassmind.serve.access.memory import Account, Memory
from glassmind.serve.access.rates import Rates
from glassmind.serve.access.refusals import Refusal
from glassmind.serve.work.metrics import Metrics

_LOG = logging.getLogger("glassmind.serve")
_OPEN = ("/", "/health")
PIECE = 64 << 10  # bytes of an answer that are passed to the server at once


@dataclass(frozen=True)
class Limits:
    """A server's limits; the defaults suit one machine and a few users.

    ``sequences`` is the number of samples that may run or wait before large requests are refused;
    small ones are still accepted up to twice that (``work.engine_thread``). ``max_tokens`` is the
    default length of an answer, ``memory_bytes`` the limit for all bodies and answers together. A
    client is a key or, without keys, an address; 0 means no limit.
    """

    body_bytes: int = 4 << 20
    body_seconds: float = 30.0
    memory_bytes: int = 512 << 20
    request_seconds: float = 600.0
    sequences: int = 1024
    max_tokens: int = 1024
    per_minute: int = 0
    at_once: int = 0


class Gate:
    """ASGI middleware: hosts, keys, rates, and the size of bodies."""

    def __init__(
        self, app: ASGIApp, hosts: Hosts, keys: Keys, limits: Limits, metrics: Metrics
    ) -> None:
        self._app, self._hosts, self._keys = app, hosts, keys
        self._limits, self._metrics = limits, metrics
        self._rates = Rates(limits.per_minute, limits.at_once)
        self._memory = Memory(limits.memory_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status, answering = time.monotonic(), 500, False

        async def watched_send(message: Message) -> None:
            nonlocal status, answering
            answering = True
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._enter(scope, receive, watched_send)
        except Refusal as refusal:
            await refusal.response()(scope, receive, watched_send)
        except Exception:
            if answering:
                raise  # the response has begun: closing the connection is the only signal left
            _LOG.exception("a request failed")
            fault = Refusal(500, "the server failed on this request")
            await fault.response()(scope, receive, watched_send)
        finally:
            self._metrics.request_ended(scope["path"], status, time.monotonic() - started)

    async def _enter(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, host = scope["path"], _header(scope, b"host")
        if not self._hosts.allow(host):
            raise Refusal(
                403,
                f"this server is not called {host[:100]!r}; if it should be, start it with "
                "--allow-host NAME",
                code="host_not_allowed",
            )
        if path in _OPEN or path.startswith("/static/"):
            await self._app(scope, receive, send)
            return
        client = self._client(scope)
        account = Account(self._memory)
        self._rates.enter(client, time.monotonic())
        try:
            if scope["method"] in ("POST", "PUT", "PATCH", "DELETE"):
                receive = _replayed(await self._body(scope, receive, account), receive)
            scope.setdefault("state", {})["caller"] = Caller(client, account)
            await self._app(scope, receive, _in_pieces(send))
        finally:
            self._rates.leave(client)
            account.close()

    def _client(self, scope: Scope) -> str:
        """Who asks."""
        if not self._keys:
            address = scope.get("client")
            return address[0] if address else ""
        scheme, _, key = _header(scope, b"authorization").partition(" ")
        owner = self._keys.owner(key.strip()) if scheme.lower() == "bearer" else None
        if owner is None:
            said = "is not valid" if key else "is missing: send Authorization: Bearer KEY"
            raise Refusal(401, f"the API key {said}", code="invalid_api_key")
        return f"key {owner}"

    async def _body(self, scope: Scope, receive: Receive, account: Account) -> bytes:
        """The complete body.

        Raises ``Refusal`` for a body that is too long (413), too slow (408) or cut off (400), and
        if the bodies of other requests take all the memory (503).
        """
        most = self._limits.body_bytes
        too_long = Refusal(413, f"the body is longer than {most} bytes", code="body_too_long")
        declared = _header(scope, b"content-length")
        if declared.isdigit() and (len(declared) > 18 or int(declared) > most):
            raise too_long
        parts, length = [], 0
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Refusal(400, "the connection was closed within the body")
                    part = message.get("body", b"")
                    length += len(part)
                    if length > most:
                        raise too_long
                    account.take(len(part))
                    parts.append(part)
                    if not message.get("more_body"):
                        return b"".join(parts)
        except TimeoutError:
            raise Refusal(408, "the body did not arrive in time") from None


def _in_pieces(send: Send) -> Send:
    """A ``send`` that passes a long body on in pieces. The server waits between two pieces until
    the client has read the first. So an unread answer is not copied into the connection's buffer,
    whose memory is not counted."""

    async def send_pieces(message: Message) -> None:
        body = message.get("body", b"")
        if message["type"] != "http.response.body" or len(body) <= PIECE:
            await send(message)
            return
        for start in range(0, len(body), PIECE):
            last = start + PIECE >= len(body)
            more = message.get("more_body", False) or not last
            piece = {"body": body[start : start + PIECE], "more_body": more}
            await send({"type": "http.response.body", **piece})

    return send_pieces


def _replayed(body: bytes, receive: Receive) -> Receive:
    """A ``receive`` that replays the body, then continues with the connection's messages."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if not given:
            given = True
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return replay


def _header(scope: Scope, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")
