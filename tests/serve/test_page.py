"""The chat page and the API's description of itself."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import httpx2
import pytest
from tiny_servers import serving

from glassmind.llm.local import LocalLLM
from glassmind.serve.app import STATIC
from glassmind.serve.schemas.responses import TokenizerInfo


@pytest.fixture(scope="module")
def http(server: str) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=server) as client:
        yield client


def test_the_page_has_all_it_names_and_nothing_from_elsewhere(http: httpx2.Client) -> None:
    page = http.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'self'" in page.headers["content-security-policy"]
    named = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert named and all(http.get(f"/{name}").is_success for name in named)
    for file in STATIC.iterdir():
        text = file.read_text("utf-8")
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text), file.name
        for imported in re.findall(r'from "\./([^"]+)"', text):
            assert (STATIC / imported).is_file()
    script = http.get("/static/chat.js")
    assert "javascript" in script.headers["content-type"]


def test_every_field_of_the_page_is_labelled(http: httpx2.Client) -> None:
    page = http.get("/").text
    script = (STATIC / "chat.js").read_text("utf-8")
    for name in re.findall(r'element\("([^"]+)"\)', script):
        assert f'id="{name}"' in page
    for field in re.findall(r"<(?:input|textarea)[^>]*id=\"([^\"]+)\"", page):
        inside = re.search(rf"<label[^>]*>[^<]*<[^>]*id=\"{field}\"", page)
        assert inside or f'for="{field}"' in page, field
    assert '<html lang="en">' in page and 'role="log"' in page and 'role="status"' in page


def test_the_description_names_every_endpoint_and_its_errors(http: httpx2.Client) -> None:
    described = http.get("/openapi.json").json()["paths"]
    assert set(described) == {
        "/v1/completions",
        "/v1/chat/completions",
        "/v1/reason",
        "/v1/embeddings",
        "/v1/models",
        "/v1/models/{name}",
        "/tokenize",
        "/tokenizer_info",
        "/detokenize",
        "/health",
        "/metrics",
    }
    for path, methods in described.items():
        for about in methods.values():
            assert {"200", "400", "401", "403", "429"} <= about["responses"].keys(), path


def test_the_description_refers_to_nothing_that_is_not_there(http: httpx2.Client) -> None:
    document = http.get("/openapi.json").json()
    named = re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document))
    assert {"ChatChunk", "ReasonStep", "NumberedCall"} <= set(named)
    assert set(named) <= document["components"]["schemas"].keys()


def test_a_harness_learns_of_the_tokenizer(http: httpx2.Client) -> None:
    info = TokenizerInfo.model_validate(http.get("/tokenizer_info").json())
    assert (info.bos_token, info.eos_token) == (None, "<|end|>")
    assert info.chat_template is not None and "messages" in info.chat_template


def counted(http: httpx2.Client, name: str) -> float:
    """A counter's value in the metrics."""
    found = re.search(rf"^glassmind_{name}_total (\S+)$", http.get("/metrics").text, re.M)
    assert found
    return float(found[1])


def test_metrics_count(http: httpx2.Client) -> None:
    before = counted(http, "tokens")
    http.post("/v1/completions", json={"prompt": "x", "max_tokens": 3, "logit_bias": {"6": -100}})
    assert counted(http, "tokens") == before + 3
    assert counted(http, "preempted_sequences") == 0


def test_metrics_tell_of_too_small_a_cache(tiny: LocalLLM) -> None:
    with (
        serving(tiny, cache_bytes=128 << 10) as address,  # 256 tokens
        httpx2.Client(base_url=address, timeout=60) as http,
    ):
        asked = {"prompt": "x", "max_tokens": 100, "n": 4, "logit_bias": {"6": -100}}
        assert http.post("/v1/completions", json=asked).is_success
        assert counted(http, "preempted_sequences") > 0
