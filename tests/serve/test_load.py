"""The load test in short: many clients at once, some malformed, some hanging up midway."""

from __future__ import annotations

import asyncio
import random

import httpx2
from tiny_servers import serving, within

from glassmind.generate import Request, SamplingParams
from glassmind.llm.local import LocalLLM

TEXTS = [f"Mia has {n} boxes of 12 pencils." for n in range(20)]
TOKENS = 12


def offline(served: LocalLLM) -> list[str]:
    """What every text goes on with, greedily."""
    params = SamplingParams(max_new_tokens=TOKENS, temperature=0, stop=served.stop_ids)
    requests = [Request(tuple(served.text_prompt(text)), params) for text in TEXTS]
    engine = served.engine(max_rows=8, max_cache_bytes=1 << 20)
    return [served.tokenizer.decode(row[0].token_ids) for row in engine.generate(requests)]


async def ask(http: httpx2.AsyncClient, number: int) -> tuple[int, str | None]:
    """Status, and the text of what is answered whole."""
    rng = random.Random(number)
    body = {"prompt": TEXTS[number % len(TEXTS)], "max_tokens": TOKENS, "temperature": 0}
    if number % 10 == 0:
        wrong = ({"n": -1}, {"stop": [1]}, {"prompt": {}}, {"temperature": "hot"}, {"model": "x"})
        answer = await http.post("/v1/completions", json={**body, **rng.choice(wrong)})
        return answer.status_code, None
    if number % 10 == 1:
        long = {**body, "max_tokens": 400, "n": 3, "stream": True}
        async with http.stream("POST", "/v1/completions", json=long) as stream:
            async for _ in stream.aiter_bytes():
                if rng.random() < 0.3:
                    break
        return stream.status_code, None
    answer = await http.post("/v1/completions", json=body)
    return answer.status_code, answer.json()["choices"][0]["text"]


async def storm(address: str, n: int, clients: int) -> list[tuple[int, str | None]]:
    """``n`` requests from ``clients`` clients."""
    waiting, answers = iter(range(n)), {}

    async def client() -> None:
        async with httpx2.AsyncClient(base_url=address, timeout=60) as http:
            for number in waiting:
                answers[number] = await ask(http, number)

    await asyncio.gather(*(client() for _ in range(clients)))
    return [answers[number] for number in range(n)]


def test_a_storm(tiny: LocalLLM) -> None:
    expected = offline(tiny)
    with serving(tiny) as address:  # which checks at its end that no block leaked
        answers = asyncio.run(storm(address, 80, 16))
        metrics = lambda: httpx2.get(f"{address}/metrics").text  # noqa: E731
        within(60, lambda: "cache_blocks_used 0.0" in metrics())
    assert {status for status, _ in answers} == {200, 400, 404}
    for number, (status, text) in enumerate(answers):
        if number % 10 == 0:
            assert status in (400, 404)
        elif number % 10 > 1:
            assert (status, text) == (200, expected[number % len(TEXTS)])
