"""What strangers send: a sentence in OpenAI's shape for each, and nobody else disturbed."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tiny_servers import Stall, chat_model, serving, within

from glassmind.errors import UserError
from glassmind.generate import Engine
from glassmind.llm.local import LocalLLM
from glassmind.serve.access.gate import Limits
from glassmind.serve.access.keys import Keys, read_keys
from glassmind.serve.access.rates import MOST_CLIENTS, Rates
from glassmind.serve.access.refusals import Refusal
from glassmind.serve.schemas.responses import Error

MESSAGES = [{"role": "user", "content": "What is 12 times 7?"}]
JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def http(server: str) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=server, timeout=60) as client:
        yield client


def refused(response: httpx2.Response, status: int = 400) -> str:
    """The sentence of a refusal."""
    assert response.status_code == status, response.text
    error = Error.model_validate(response.json()).error
    assert "Traceback" not in error.message and len(error.message) < 500
    return error.message


COMPLETIONS: list[tuple[dict[str, Any], str]] = [
    ({}, "prompt: field required"),
    ({"prompt": None}, "prompt"),
    ({"prompt": ""}, "empty"),
    ({"prompt": []}, "prompt: list should have at least 1 item"),
    ({"prompt": ["x", ""]}, "empty"),
    ({"prompt": [[]]}, "prompt.0"),
    ({"prompt": {"a": 1}}, "prompt"),
    ({"prompt": [1, 2.5]}, "prompt.1"),
    ({"prompt": [-1]}, "prompt.0"),
    ({"prompt": [1 << 23]}, "token id"),
    ({"prompt": "x " * 600}, "the context holds 512"),
    ({"prompt": "x " * 60_000}, "cannot hold them"),
    ({"prompt": "x", "n": 10**9}, "n: input should be less than or equal to 128"),
    ({"prompt": "x", "n": 0}, "n: "),
    ({"prompt": "x", "n": True}, "n: input should be a valid integer"),
    ({"prompt": "x", "n": "5"}, "n: input should be a valid integer"),
    ({"prompt": "x", "best_of": 1, "n": 2}, "best_of"),
    ({"prompt": "x", "best_of": 3, "stream": True}, "best_of"),
    ({"prompt": ["x"] * 128, "n": 128}, "at most 1024 samples"),
    ({"prompt": ["x"] * 129}, "at most 128 items"),
    ({"prompt": "x", "temperature": -1}, "temperature"),
    ({"prompt": "x", "temperature": float("nan")}, "finite"),
    ({"prompt": "x", "top_p": -0.1}, "top_p"),
    ({"prompt": "x", "top_k": -2}, "top_k"),
    ({"prompt": "x", "stop_token_ids": [99999]}, "stop_token_ids"),
    ({"prompt": "x", "max_tokens": -1}, "max_tokens"),
    ({"prompt": "x", "max_tokens": 10**30}, "max_tokens"),
    ({"prompt": "x", "logprobs": 21}, "logprobs"),
    ({"prompt": "x", "stop": ["a"] * 100_000}, "at most 16 items"),
    ({"prompt": "x", "stop": ""}, "stop"),
    ({"prompt": "x", "stop": "a" * 257}, "stop"),
    ({"prompt": "x", "stop": "\ud800"}, "stop"),
    ({"prompt": "x", "logit_bias": {"a": 1}}, "'a' is not an id"),
    ({"prompt": "x", "logit_bias": {"99999": 1}}, "99999"),
    ({"prompt": "x", "logit_bias": {"1": 1000}}, "logit_bias"),
    ({"prompt": "x", "logit_bias": {"1": 1, "01": 1}}, "twice"),
    ({"prompt": "x", "seed": 1 << 64}, "seed"),
    ({"prompt": "x", "suffix": "y"}, "does not know this field"),
    ({"prompt": "x", "regex": "(" * 5000}, ""),
    ({"prompt": "x", "regex": "(a+)+$(?=b)"}, ""),
    ({"prompt": "x", "stream": "yes"}, "stream"),
    ({"prompt": "x", "model": "gpt-4"}, "no model 'gpt-4'"),
]


@pytest.mark.parametrize(
    ("body", "sentence"), COMPLETIONS, ids=[str(number) for number in range(len(COMPLETIONS))]
)
def test_wrong_completions(http: httpx2.Client, body: dict[str, Any], sentence: str) -> None:
    status = 404 if "model" in body else 400
    answer = http.post("/v1/completions", content=json.dumps(body), headers=JSON)
    assert sentence in refused(answer, status)


CHATS: list[tuple[dict[str, Any], str]] = [
    ({"messages": []}, "messages"),
    ({"messages": [{"role": "user"}] * 2049}, "at most 2048"),
    ({"messages": [{"role": "root", "content": "x"}]}, "messages.0.role"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages.0.content"),
    ({"messages": MESSAGES, "tool_choice": "required"}, "no tools"),
    ({"messages": MESSAGES, "top_logprobs": 3}, "logprobs: true"),
    ({"messages": MESSAGES, "functions": [{"name": "x"}]}, "does not know this field"),
    ({"messages": MESSAGES, "response_format": {"type": "xml"}}, "response_format"),
    ({"messages": MESSAGES, "max_tokens": 0}, "max_tokens"),
    ({"messages": MESSAGES, "chat_template_kwargs": {"messages": 1}}, "messages"),
    ({"messages": MESSAGES, "response_format": {"type": "json_object"}, "regex": "a"}, "leave one"),
]


@pytest.mark.parametrize(
    ("body", "sentence"), CHATS, ids=[str(number) for number in range(len(CHATS))]
)
def test_wrong_chats(http: httpx2.Client, body: dict[str, Any], sentence: str) -> None:
    assert sentence in refused(http.post("/v1/chat/completions", json=body))


def test_wrong_bodies(http: httpx2.Client) -> None:
    post = http.post
    path = "/v1/completions"
    assert "UTF-8" in refused(post(path, content=b'{"prompt": "\xff"}', headers=JSON))
    assert "JSON" in refused(post(path, content=b'{"prompt": ', headers=JSON))
    assert "JSON" in refused(post(path, content=b"[" * 100_000, headers=JSON))
    assert "JSON" in refused(post(path, content=b'{"n": ' + b"9" * 9999 + b"}", headers=JSON))
    assert "object" in refused(post(path, content=b"[1]", headers=JSON))
    assert "object" in refused(post(path, content=b""))
    # A form of a foreign web page may send this without asking; it must not be read as JSON.
    assert "application/json" in refused(post(path, content=b'{"prompt": "x"}'))
    assert "longer than" in refused(post(path, content=b"x" * 10_000_000), 413)

    def endless() -> Iterator[bytes]:
        for _ in range(100):
            yield b"x" * 100_000

    assert "longer than" in refused(post(path, content=endless()), 413)
    refused(http.get("/nowhere"), 404)
    refused(http.get("/static/../app.py"), 404)
    refused(http.get("/static/%2e%2e/app.py"), 404)
    refused(http.get(path), 405)
    refused(post("/detokenize", json={"tokens": [99999]}))
    refused(post("/tokenize", json={}))
    refused(post("/v1/embeddings", json={"input": ""}))
    refused(post("/v1/reason", json={"question": " "}))
    refused(post("/v1/reason", json={"question": "x" * 30_000}))
    assert http.get("/health").json() == {"status": "ok"}
    assert http.head("/health").is_success and http.head("/").is_success


def test_half_a_surrogate_pair_is_text(http: httpx2.Client) -> None:
    body = {"messages": [{"role": "user", "content": "\ud800"}], "max_tokens": 2}
    assert http.post("/v1/chat/completions", content=json.dumps(body), headers=JSON).is_success
    body = {"prompt": "\ud800", "max_tokens": 2, "echo": True}
    assert http.post("/v1/completions", content=json.dumps(body), headers=JSON).is_success


def test_who_hangs_up_frees_everything(tiny: LocalLLM, stall: Stall) -> None:
    with serving(tiny) as address, httpx2.Client(base_url=address, timeout=60) as http:
        long = {"prompt": "What", "max_tokens": 500, "n": 4, "logit_bias": {"6": -100}}
        with http.stream("POST", "/v1/completions", json={**long, "stream": True}) as stream:
            next(stream.iter_lines())
            stall.on.set()
        with pytest.raises(httpx2.ReadTimeout):
            http.post("/v1/completions", json=long, timeout=0.3)
        host, port = address.removeprefix("http://").split(":")
        body = json.dumps({**long, "stream": True}).encode()
        head = "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n"
        head += "Content-Type: application/json\r\n"
        for cut in (20, len(body)):  # within the body, and after it with a reset
            with socket.create_connection((host, int(port))) as raw:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                raw.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:cut])
                if cut == len(body):
                    within(60, lambda: "waiting_sequences 0.0" not in http.get("/metrics").text)
        stall.on.clear()
        within(60, lambda: "running_sequences 0.0" in http.get("/metrics").text)
        assert "cache_blocks_used 0.0" in http.get("/metrics").text
        assert http.post("/v1/completions", json={"prompt": "x", "max_tokens": 2}).is_success


def test_a_slow_body_is_not_waited_for(tiny: LocalLLM) -> None:
    with serving(tiny, limits=Limits(body_seconds=0.3)) as address:
        host, port = address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as raw:
            head = b"POST /tokenize HTTP/1.1\r\nHost: localhost\r\n"
            raw.sendall(head + b"Content-Length: 10\r\n\r\n{")
            assert b" 408 " in raw.recv(1000)


ENDLESS = {"prompt": "x", "n": 4, "max_tokens": 500, "logit_bias": {"6": -100}}


def test_one_too_many_is_told_to_come_back(tiny: LocalLLM, stall: Stall) -> None:
    limits = Limits(sequences=4, body_bytes=2000)
    with (
        serving(tiny, limits=limits) as address,
        httpx2.Client(base_url=address, timeout=60) as http,
    ):
        assert "at most 4" in refused(http.post("/v1/completions", json={"prompt": "x", "n": 5}))
        asked = {**ENDLESS, "stream": True}
        with http.stream("POST", "/v1/completions", json=asked) as stream:
            lines = stream.iter_lines()  # were it forgotten, the connection would be closed
            next(lines)
            stall.on.set()
            busy = http.post("/v1/completions", json={"prompt": "x"})
            assert "busy" in refused(busy, 429) and int(busy.headers["retry-after"]) >= 1
        stall.on.clear()


def test_a_large_request_leaves_room_for_small_ones(tiny: LocalLLM, stall: Stall) -> None:
    keys = Keys(["greedy-key", "modest-key"])
    greedy = {"Authorization": "Bearer greedy-key"}
    modest = {"Authorization": "Bearer modest-key"}
    with (
        serving(tiny, limits=Limits(sequences=16), keys=keys) as address,
        httpx2.Client(base_url=address, timeout=60) as http,
    ):
        path, long = "/v1/completions", {**ENDLESS, "n": 16, "stream": True}
        with http.stream("POST", path, json=long, headers=greedy) as stream:
            lines = stream.iter_lines()
            next(lines)
            stall.on.set()
            large = http.post(path, json={"prompt": "x", "n": 3}, headers=modest)
            assert "busy" in refused(large, 429)
            small = {"prompt": "x", "max_tokens": 2, "n": 2, "stream": True}
            with http.stream("POST", path, json=small, headers=modest) as accepted:
                assert accepted.is_success
                stall.on.clear()
                assert accepted.read().endswith(b"data: [DONE]\n\n")


def test_a_request_may_take_so_long(tiny: LocalLLM, stall: Stall) -> None:
    with (
        serving(tiny, limits=Limits(request_seconds=0.5)) as address,
        httpx2.Client(base_url=address, timeout=60) as http,
    ):
        stall.on.set()
        assert "0.5 s" in refused(http.post("/v1/completions", json=ENDLESS), 408)
        events = http.post("/v1/completions", json={**ENDLESS, "stream": True}).text
        assert "timeout_error" in events and events.endswith("data: [DONE]\n\n")
        stall.on.clear()
        assert http.post("/v1/completions", json={"prompt": "x", "max_tokens": 1}).is_success


def test_keys_and_rates(tiny: LocalLLM) -> None:
    limits = Limits(per_minute=3, at_once=1)
    keys = Keys(["first-key", "second-key"])
    server = serving(tiny, keys=keys, limits=limits, origins=("https://a.org",))
    with server as address, httpx2.Client(base_url=address, timeout=60) as http:
        assert http.get("/health").is_success and http.get("/").is_success
        assert "missing" in refused(http.get("/v1/models"), 401)
        wrong = {"Authorization": "Bearer first-kex"}
        assert "not valid" in refused(http.get("/v1/models", headers=wrong), 401)
        for name in ("first-key", "second-key"):
            headers = {"Authorization": f"Bearer {name}"}
            for _ in range(3):
                assert http.get("/v1/models", headers=headers).is_success
            late = http.get("/v1/models", headers=headers)
            assert "a minute" in refused(late, 429) and int(late.headers["retry-after"]) > 5
        page = http.get("/health", headers={"Origin": "https://a.org"})
        assert page.headers["access-control-allow-origin"] == "https://a.org"
        other = http.get("/health", headers={"Origin": "https://b.org"})
        assert "access-control-allow-origin" not in other.headers


def test_rates_fill_again_and_are_forgotten() -> None:
    rates = Rates(per_minute=60, at_once=2)
    for _ in range(60):
        rates.enter("a", 0.0)
        rates.leave("a")
    with pytest.raises(Refusal) as caught:
        rates.enter("a", 0.0)
    assert caught.value.retry_after == 1
    rates.enter("a", 1.0)
    rates.enter("a", 2.0)
    with pytest.raises(Refusal, match="running"):
        rates.enter("a", 3.0)
    for number in range(2 * MOST_CLIENTS):
        rates.enter(str(number), 3.0)
        rates.leave(str(number))
    assert len(rates._clients) <= MOST_CLIENTS
    with pytest.raises(Refusal, match="running"):  # who has something running is remembered
        rates.enter("a", 3.0)


def test_key_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "keys"
    path.write_text("# ours\n\n  secret-one \nsecret-two\n  # an indented remark\n\t#another-one\n")
    keys = read_keys(path)
    assert (keys.owner("secret-one"), keys.owner("secret-two"), keys.owner("")) == (0, 1, None)
    assert keys.owner("# an indented remark") is keys.owner("#another-one") is None
    monkeypatch.setenv("GLASSMIND_API_KEYS", "from-environment, another-one")
    assert read_keys(None).owner("another-one") == 1
    monkeypatch.delenv("GLASSMIND_API_KEYS")
    assert not read_keys(None)
    for text, sentence in (("", "holds no API key"), ("short", "8 to 512")):
        path.write_text(text)
        with pytest.raises(UserError, match=sentence):
            read_keys(path)


def test_a_failed_step_ends_what_is_open_and_nothing_else(
    tiny: LocalLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, fail = Engine.step, threading.Event()

    def broken(self: Engine) -> Any:
        if fail.is_set():
            fail.clear()
            raise RuntimeError("a secret of the server")
        return step(self)

    monkeypatch.setattr(Engine, "step", broken)
    with serving(tiny) as address, httpx2.Client(base_url=address, timeout=60) as http:
        fail.set()
        answer = http.post("/v1/completions", json={"prompt": "x", "max_tokens": 4})
        assert "secret" not in refused(answer, 500)
        assert http.post("/v1/completions", json={"prompt": "x", "max_tokens": 4}).is_success


def test_a_model_without_a_template_says_so() -> None:
    with (
        serving(chat_model(template=None)) as address,
        httpx2.Client(base_url=address, timeout=60) as http,
    ):
        answer = http.post("/v1/chat/completions", json={"messages": MESSAGES})
        assert "/v1/completions" in refused(answer)
        assert http.post("/v1/completions", json={"prompt": "x", "max_tokens": 2}).is_success
        reason = http.post("/v1/reason", json={"question": "What?", "max_tokens": 4}).json()
        assert "no chat template" in reason["warning"]
