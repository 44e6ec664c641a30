"""A server tells how many tokens were guessed ahead, and how many guesses stood."""

from __future__ import annotations

import re

import httpx2
from tiny_servers import chat_model, serving


def test_guesses_are_counted() -> None:
    with serving(chat_model()) as address, httpx2.Client(base_url=address, timeout=60) as http:
        asked = {"prompt": "xyxyxyxyxy", "max_tokens": 40, "lookup": 3, "temperature": 0}
        assert http.post("/v1/completions", json={**asked, "logit_bias": {"6": -100}}).is_success
        text = http.get("/metrics").text
    counts = dict(re.findall(r"^glassmind_(guessed|accepted)_tokens_total (\S+)$", text, re.M))
    assert float(counts["guessed"]) >= float(counts["accepted"]) >= 0
    assert float(counts["guessed"]) > 0
