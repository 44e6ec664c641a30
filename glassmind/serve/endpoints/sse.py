"""Server-sent events: streaming an answer, and handling clients that disconnect.

    data: {"choices": [...]}          one event, ended by a blank line
    data: [DONE]                      the end, as OpenAI's clients expect it

The status 200 is sent with the first byte, so later errors are sent as events. A client may
disconnect at any time, or silently stop reading; neither may occupy the engine or the server's
memory for long.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from typing import Any, Protocol, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from glassmind.serve.access.refusals import AsciiJSON, Refusal
from glassmind.serve.work.engine_thread import Running

T = TypeVar("T")
Events = AsyncGenerator[Mapping[str, Any], None]

READER_SECONDS = 60.0
"""A client that reads nothing for this many seconds is disconnected."""

_LOG = logging.getLogger("glassmind.serve")


class Answer(Protocol):
    """An endpoint's response, made from the engine's events."""

    async def whole(self, running: Running) -> Mapping[str, Any]:
        """The complete response, when all samples are done."""
        ...

    def streamed(self, running: Running) -> Events:
        """The same as a stream of chunks."""
        ...


async def respond(answer: Answer, running: Running, request: Request, *, stream: bool) -> Response:
    """``answer``, streamed or complete; ``running`` is cancelled when the response is over."""
    if stream:
        return EventStream(answer.streamed(running), running.cancel)
    try:
        return AsciiJSON(await unless_gone(request.receive, answer.whole(running)))
    finally:
        running.cancel()


async def unless_gone(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """The result of ``work``, which is cancelled if the client disconnects first.

    Raises ``Refusal`` then (499, nginx's code; it appears only in the log).
    """
    working = asyncio.ensure_future(work)
    watching = asyncio.ensure_future(_hung_up(receive))
    try:
        await asyncio.wait((working, watching), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise Refusal(499, "the client closed the connection")
    finally:
        for task in (working, watching):
            task.cancel()
        await asyncio.gather(working, watching, return_exceptions=True)


async def _hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class EventStream(Response):
    """A response that streams ``events``. ``at_end`` is always called when it is over."""

    media_type = "text/event-stream"

    def __init__(self, events: Events, at_end: Callable[[], None]) -> None:
        # A proxy that buffers the whole answer would defeat streaming.
        super().__init__(headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._events, self._at_end = events, at_end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await unless_gone(receive, self._write(send))
        except (Refusal, TimeoutError):  # disconnected, or stopped reading
            pass
        finally:
            self._at_end()

    async def _write(self, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        async with contextlib.aclosing(self._events) as events:
            try:
                async for event in events:
                    await self._put(send, json.dumps(event, separators=(",", ":")))
            except Refusal as refusal:
                await self._put(send, json.dumps(refusal.body))
            except TimeoutError:
                raise
            except Exception:
                _LOG.exception("a streamed answer failed")
                await self._put(send, json.dumps(Refusal(500, "the server failed").body))
            await self._put(send, "[DONE]", more=False)

    async def _put(self, send: Send, text: str, *, more: bool = True) -> None:
        body = f"data: {text}\n\n".encode("ascii")
        async with asyncio.timeout(READER_SECONDS):
            await send({"type": "http.response.body", "body": body, "more_body": more})
        # Without a pause the event loop could not report a lost connection before the next events
        # are written to it, and asyncio logs a warning for each of those.
        await asyncio.sleep(0)
