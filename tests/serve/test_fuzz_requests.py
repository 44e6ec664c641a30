"""A hundred hostile requests; ``benchmarks/fuzz_requests.py`` sends as many as one likes."""

from __future__ import annotations

import random

import httpx2
from hostile_requests import fault, hostile
from tiny_servers import serving

from glassmind.llm.local import LocalLLM
from glassmind.serve.access.gate import Limits

N = 120


def test_every_answer_is_a_decent_one(tiny: LocalLLM) -> None:
    with (
        serving(tiny, limits=Limits(max_tokens=12)) as address,
        httpx2.Client(base_url=address, timeout=120) as http,
    ):
        for seed in range(N):
            sent = hostile(random.Random(seed))
            answer = http.post(sent.path, content=sent.content, headers=sent.headers)
            assert fault(answer) is None, (seed, sent.path, sent.content[:500], answer.text[:500])
        assert http.get("/health").is_success
