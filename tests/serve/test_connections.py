"""Connections that keep still, that are too many, and that are not read from."""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import socket
import struct
import threading
from types import SimpleNamespace
from typing import Any, cast

import httpx2
import pytest
from fastapi import FastAPI
from starlette.responses import Response
from tiny_servers import Served, Stall, serving, within

from glassmind.llm.local import LocalLLM
from glassmind.serve import connections
from glassmind.serve.access.gate import Limits
from glassmind.serve.connections import Connection, Doorkeeper, Patience, most_connections
from glassmind.serve.log import MOST_A_MINUTE, Sparing

QUICK = Patience(header=0.2, idle=0.2, read=0.2)
LONG = {"prompt": "What", "max_tokens": 500, "logit_bias": {"6": -100}, "stream": True}


def connected(address: str) -> socket.socket:
    host, port = address.removeprefix("http://").split(":")
    raw = socket.create_connection((host, int(port)), timeout=60)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return raw


def post(body: dict[str, Any]) -> bytes:
    text = json.dumps(body)
    head = "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(text)}\r\n\r\n{text}".encode()


def closed(raw: socket.socket) -> bool:
    """Whether the other side closes, now or later."""
    try:
        while raw.recv(1 << 16):
            pass
    except ConnectionResetError:
        pass
    return True


SILENT = [
    b"",
    b"GET / HT",
    b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\nGET /he",  # the second one is not finished
    b"GET /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999999\r\n\r\nx",
]


def test_who_sends_no_request_is_not_waited_for(tiny: LocalLLM) -> None:
    with serving(tiny, patience=QUICK) as address:
        opened = [connected(address) for _ in SILENT]
        for raw, sent in zip(opened, SILENT, strict=True):
            raw.sendall(sent)
        for raw in opened:
            assert closed(raw)
            raw.close()


def test_late_is_who_waits_not_who_is_answered() -> None:
    one = cast(Any, Connection.__new__(Connection))
    one.waiting_since, one.stuck_since, one.cycle = 100.0, None, None
    patience = Patience(header=10, idle=30, read=60)
    assert not one.late(109, patience) and one.late(111, patience)
    one.n_requests = 1
    assert not one.late(139, patience) and one.late(141, patience)
    one.cycle = SimpleNamespace(response_complete=False)
    assert not one.late(1000, patience)
    one.stuck_since = 1000.0
    assert not one.late(1059, patience) and one.late(1061, patience)


def test_an_idle_connection_makes_room(tiny: LocalLLM) -> None:
    with serving(tiny, connections=3) as address:
        idle = [connected(address) for _ in range(3)]
        assert httpx2.get(f"{address}/health", timeout=60).is_success
        assert closed(idle[0])
        for raw in idle:
            raw.close()


def test_no_more_are_accepted_than_can_be_served(tiny: LocalLLM, stall: Stall) -> None:
    with serving(tiny, connections=2) as address:
        busy = [connected(address) for _ in range(2)]
        for raw in busy:
            raw.sendall(post(LONG))
            assert raw.recv(100).startswith(b"HTTP/1.1 200")
        stall.on.set()
        answers: list[int] = []
        late = threading.Thread(
            target=lambda: answers.append(httpx2.get(f"{address}/health", timeout=60).status_code)
        )
        late.start()
        opened = address.server.server_state.connections
        assert len(opened) == 2 and not answers
        busy[0].close()
        late.join(60)
        assert answers == [200] and len(opened) <= 2
        busy[1].close()
        stall.on.clear()


def test_a_system_without_descriptors_is_not_asked_all_the_time(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    waits: list[float] = []
    refusals = [errno.EMFILE, errno.ENFILE, errno.ECONNABORTED]

    class Done(Exception):
        pass

    async def accept(sock: socket.socket) -> Any:
        if not refusals:
            raise Done
        raise OSError(refusals.pop(0), "too many")

    really_sleep = asyncio.sleep

    async def run() -> None:
        loop = asyncio.get_running_loop()

        async def sleep(seconds: float) -> None:
            if asyncio.get_running_loop() is loop:
                waits.append(seconds)
            else:  # a server in another thread
                await really_sleep(seconds)

        monkeypatch.setattr(loop, "sock_accept", accept)
        monkeypatch.setattr("glassmind.serve.connections.asyncio.sleep", sleep)
        door = Doorkeeper(set(), asyncio.Protocol, most=5, patience=Patience())
        with socket.socket() as listening, pytest.raises(Done):
            await door.accept(listening)

    asyncio.run(run())
    assert waits == [connections.BACKOFF_SECONDS] * 2
    assert caplog.text.count("cannot accept connections") == 2


def test_connections_fit_into_the_open_files_of_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    resource = pytest.importorskip("resource")
    limits = [100, 200]
    monkeypatch.setattr(resource, "getrlimit", lambda kind: tuple(limits))
    monkeypatch.setattr(resource, "setrlimit", lambda kind, now: limits.__setitem__(0, now[0]))
    assert most_connections(20) == 20 and limits == [100, 200]
    assert most_connections(1000) == 200 - connections.FILES_LEFT and limits == [200, 200]


def test_who_does_not_read_is_dropped(tiny: LocalLLM) -> None:
    def pages(app: FastAPI) -> None:
        @app.get("/large")
        async def large() -> Response:
            return Response(b"x" * (30 << 20))

    with serving(tiny, patience=QUICK, also=pages) as address, connected(address) as raw:
        raw.sendall(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
        within(60, lambda: bool(address.server.server_state.connections))
        within(60, lambda: not address.server.server_state.connections)
        whole = httpx2.get(f"{address}/large", timeout=60)
        assert len(whole.content) == 30 << 20


def test_who_hangs_up_at_any_stage_leaves_nothing_behind(
    tiny: LocalLLM, caplog: pytest.LogCaptureFixture
) -> None:
    request = post({**LONG, "n": 4, "max_tokens": 40})
    with caplog.at_level(logging.WARNING), serving(tiny) as address:
        for number in range(16):
            with connected(address) as raw:
                raw.sendall(request[: len(request) * (number % 5 + 1) // 5])
                if number % 5 == 4:
                    for _ in range(number):
                        raw.recv(50)
        within(60, lambda: not address.server.server_state.connections)
        assert httpx2.get(f"{address}/health", timeout=60).is_success
    assert "socket.send()" not in caplog.text and "Traceback" not in caplog.text


def test_a_stream_that_is_cut_at_the_end_says_so(tiny: LocalLLM, stall: Stall) -> None:
    with serving(tiny, drain_seconds=0.1) as address:
        with httpx2.stream("POST", f"{address}/v1/completions", json=LONG, timeout=60) as stream:
            lines = stream.iter_lines()
            next(lines)
            stall.on.set()
            address.server.should_exit = True
            rest = [line for line in lines if line]
        assert rest[-1] == "data: [DONE]"
        assert json.loads(rest[-2].removeprefix("data: "))["error"]["code"] == "stopping"
        stall.on.clear()


def test_whom_a_client_says_it_is_counts_behind_a_proxy_only(tiny: LocalLLM) -> None:
    def statuses(address: Served) -> list[int]:
        with httpx2.Client(base_url=address, timeout=60) as http:
            return [
                http.get("/v1/models", headers={"X-Forwarded-For": f"10.0.0.{n}"}).status_code
                for n in range(3)
            ]

    with serving(tiny, limits=Limits(per_minute=1)) as address:
        assert statuses(address) == [200, 429, 429]
    with serving(tiny, limits=Limits(per_minute=1), proxies=("127.0.0.1",)) as address:
        assert statuses(address) == [200, 200, 200]


def test_a_log_cannot_be_filled() -> None:
    now = [0.0]
    sparing = Sparing(lambda: now[0])

    def written(message: str, count: int) -> list[str]:
        records = [logging.makeLogRecord({"msg": message, "name": "x"}) for _ in range(count)]
        return [str(record.msg) for record in records if sparing.filter(record)]

    assert len(written("a", 50)) == MOST_A_MINUTE and len(written("b", 3)) == 3
    now[0] = 61
    assert written("a", 1) == [f"a (and {50 - MOST_A_MINUTE} more like it before)"]
    assert written("a", 1) == ["a"]
    for number in range(1000):
        written(f"kind {number}", 1)
    assert len(sparing._kinds) <= 256


def test_a_full_disk_behind_the_log_disturbs_no_request(
    tiny: LocalLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        def write(self, text: str) -> int:
            raise OSError(errno.ENOSPC, "no space left on device")

        def flush(self) -> None:
            raise OSError(errno.ENOSPC, "no space left on device")

    def pages(app: FastAPI) -> None:
        @app.get("/broken")
        async def broken() -> Response:
            raise ValueError

    handler = logging.StreamHandler(cast(Any, Full()))
    monkeypatch.setattr("sys.stderr", Full())
    logging.getLogger().addHandler(handler)
    try:
        with (
            serving(tiny, also=pages) as address,
            httpx2.Client(base_url=address, timeout=60) as http,
        ):
            assert http.get("/broken").status_code == 500
            assert http.post("/v1/completions", json={"prompt": "x"}).is_success
    finally:
        logging.getLogger().removeHandler(handler)
