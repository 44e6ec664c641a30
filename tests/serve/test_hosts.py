"""Which names a server answers to, and which a page of a stranger's may not call it by."""

from __future__ import annotations

import httpx2
import pytest
from tiny_servers import serving

from glassmind.errors import UserError
from glassmind.llm.local import LocalLLM
from glassmind.serve.access.hosts import Hosts
from glassmind.serve.access.keys import Keys
from glassmind.serve.schemas.responses import Error

HERE = ("localhost", "LOCALHOST:8000", "localhost.:80", "127.0.0.1", "127.0.0.1:", "127.1.2.3:8",
        "[::1]", "[::1]:8000", "")  # fmt: skip
ELSEWHERE = ("evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.nip.example",
             "evil.example@localhost", "localhost:80:80", "localhost evil", "::1", "[::1", "[::1]x",
             "localhost:8o", "2130706433", "127.1", "\xe9vil", "x" * 70_000)  # fmt: skip
ADDRESSES = ("192.168.1.5", "10.0.0.1:8000", "[2001:db8::1]:80", "0.0.0.0")


@pytest.mark.parametrize("bound", ["127.0.0.1", "::1", "localhost", "127.0.0.2"])
def test_on_loopback_only_this_machine_is_meant(bound: str) -> None:
    hosts = Hosts(bound)
    assert all(map(hosts.allow, HERE))
    assert not any(map(hosts.allow, (*ELSEWHERE, *ADDRESSES)))


@pytest.mark.parametrize("bound", ["0.0.0.0", "::", "192.168.1.5"])
def test_an_open_server_answers_to_addresses_but_to_no_name(bound: str) -> None:
    hosts = Hosts(bound)
    assert all(map(hosts.allow, (*HERE, *ADDRESSES)))
    assert not any(map(hosts.allow, ELSEWHERE))


def test_names_that_are_allowed() -> None:
    hosts = Hosts("Box.local", ["Chat.Example.org", "my_service", "[2001:db8::2]"])
    for name in ("box.local:80", "chat.example.org", "CHAT.example.org.:443", "my_service:1"):
        assert hosts.allow(name)
    assert not hosts.allow("x.chat.example.org") and not hosts.allow("evil.example")
    assert Hosts("127.0.0.1", ["[2001:db8::2]"]).allow("[2001:db8::2]:80")
    assert all(map(Hosts(allowed=["*"]).allow, ELSEWHERE))
    for wrong in ("", "https://a.org", "a.org:80", "a b", "*.a.org", "::1", "\xe9"):
        with pytest.raises(UserError, match=r"like chat\.example\.org"):
            Hosts(allowed=[wrong])


def test_a_page_that_rebinds_its_name_learns_nothing(tiny: LocalLLM) -> None:
    keys = Keys(["the-only-key"])  # the refusal comes before anything else is looked at
    with (
        serving(tiny, hosts=Hosts(allowed=["chat.example.org"]), keys=keys) as address,
        httpx2.Client(base_url=address, timeout=60) as http,
    ):
        for path in ("/", "/health", "/static/chat.js", "/v1/models", "/openapi.json", "/nowhere"):
            answer = http.get(path, headers={"Host": "evil.example:8000"})
            assert answer.status_code == 403
            error = Error.model_validate(answer.json()).error
            assert error.code == "host_not_allowed" and "'evil.example:8000'" in error.message
            assert "--allow-host" in error.message
        asked = http.post("/v1/completions", json={"prompt": "x"}, headers={"Host": "x" * 5000})
        assert asked.status_code == 403 and len(asked.text) < 500
        assert http.get("/health", headers={"Host": "chat.example.org"}).is_success
