"""Streams and their readers: who stops reading, who hangs up, and what goes wrong midway."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from glassmind.serve.access.refusals import Refusal
from glassmind.serve.endpoints import sse
from glassmind.serve.endpoints.sse import Events, EventStream

Sent = list[dict[str, Any]]


def stream(events: Events, send: Callable[[Any], Any], receive: Callable[[], Any]) -> list[str]:
    """What was called at the end of a stream to this reader."""
    called: list[str] = []
    response = EventStream(events, lambda: called.append("end"))
    asyncio.run(asyncio.wait_for(response({"type": "http"}, receive, send), 5))
    return called


async def never() -> Any:
    await asyncio.Event().wait()


async def endless(closed: list[bool]) -> Any:
    try:
        while True:
            yield {"n": 1}
            await asyncio.sleep(0)
    finally:
        closed.append(True)


def test_a_reader_who_stops_reading_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "READER_SECONDS", 0.05)
    sent: Sent = []
    closed: list[bool] = []

    async def send(message: Any) -> None:
        sent.append(message)
        if len(sent) == 3:
            await never()

    assert stream(endless(closed), send, never) == ["end"]
    assert closed == [True] and len(sent) == 3


def test_a_reader_who_hangs_up_ends_the_stream() -> None:
    sent: Sent = []
    closed: list[bool] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        while len(sent) < 5:
            await asyncio.sleep(0)
        return {"type": "http.disconnect"}

    assert stream(endless(closed), send, receive) == ["end"]
    assert closed == [True]


@pytest.mark.parametrize(
    ("error", "said"),
    [(Refusal(408, "too late"), b"too late"), (ValueError("secret"), b"the server failed")],
    ids=["refusal", "fault"],
)
def test_what_goes_wrong_midway_is_an_event(error: Exception, said: bytes) -> None:
    bodies: list[bytes] = []

    async def events() -> Any:
        yield {"n": 1}
        raise error

    async def send(message: Any) -> None:
        bodies.append(message.get("body", b""))

    assert stream(events(), send, never) == ["end"]
    assert said in bodies[-2] and b"secret" not in bodies[-2]
    assert bodies[-1] == b"data: [DONE]\n\n"
