"""The server under load: 2,000 requests from 64 clients, a tenth malformed, a tenth hanging up.

    python benchmarks/serving_load.py                       the model that comes with the package
    python benchmarks/serving_load.py smollm2 --requests 200 --clients 16

`glassmind serve` runs in a separate process. Four of five requests are greedy completions, half of
them streamed; each must return the same text as an engine offline. A tenth are malformed and must
be refused with a 4xx in OpenAI's error format; a tenth ask for three long samples and hang up after
a few events. All requests are sent twice. The second time must not need more memory than the first
(a leak grows with every request), and no block of the KV cache may stay in use.

The output is the statuses, the texts that differ, seconds to the first token and to the last,
tokens per second through the server and of the engine alone on the same requests, and the server's
memory. The last line is one JSON object; the exit code is 1 after a server error, a different text
or a leaked block, or if the server did not exit cleanly. Linux only.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import torch
from serving_process import server

from glassmind.generate import Request, SamplingParams
from glassmind.llm.local import LocalLLM
from glassmind.llm.opening import open_local

TEXTS = [
    f"{name} has {n} boxes of {n + 5} pencils. {name} gives {n % 7} away. How many are left?"
    for n in range(3, 28)
    for name in ("Mia", "Noah", "Zoé", "Łukasz")
]
WRONG: tuple[Any, ...] = (
    {"n": 10**9},
    {"n": -1},
    {"temperature": -1},
    {"temperature": "hot"},
    {"stop": ["a"] * 100_000},
    {"prompt": {"a": 1}},
    {"prompt": [10**6]},
    {"prompt": "x " * 5_000_000},
    {"model": "gpt-4"},
    {"logit_bias": {"a": 1}},
    b'{"prompt": "\xff"}',
    b'{"prompt": "x", "temperature": NaN}',
    b"[" * 50_000,
    b"",
)
JSON = {"content-type": "application/json"}


@dataclass
class Outcome:
    """The results of one storm of requests."""

    statuses: Counter[str] = field(default_factory=Counter)
    different: int = 0
    misshapen: int = 0
    hung_up: int = 0
    tokens: int = 0
    first_seconds: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    wall: float = 0.0


class Storm:
    """Requests by number, so that each is the same in every storm."""

    def __init__(self, address: str, expected: list[str], max_tokens: int) -> None:
        self._address, self._expected, self._max_tokens = address, expected, max_tokens

    async def run(self, requests: int, clients: int) -> Outcome:
        """``requests`` requests from ``clients`` clients, each with one connection."""
        outcome, waiting = Outcome(), iter(range(requests))
        started = time.perf_counter()
        await asyncio.gather(*(self._client(waiting, outcome) for _ in range(clients)))
        outcome.wall = time.perf_counter() - started
        return outcome

    async def _client(self, waiting: Iterator[int], outcome: Outcome) -> None:
        async with httpx2.AsyncClient(base_url=self._address, timeout=600) as http:
            for number in waiting:
                if number % 10 == 0:
                    await self._malformed(http, number, outcome)
                elif number % 10 == 5:
                    await self._hang_up(http, number, outcome)
                else:
                    await self._complete(http, number, outcome)

    def _body(self, number: int) -> dict[str, Any]:
        text = TEXTS[number % len(TEXTS)]
        return {"prompt": text, "max_tokens": self._max_tokens, "temperature": 0}

    async def _malformed(self, http: httpx2.AsyncClient, number: int, outcome: Outcome) -> None:
        wrong = WRONG[number // 10 % len(WRONG)]
        if isinstance(wrong, dict):
            wrong = json.dumps({**self._body(number), **wrong}).encode()
        answer = await http.post("/v1/completions", content=wrong, headers=JSON)
        outcome.statuses[f"malformed {answer.status_code}"] += 1
        try:
            error = answer.json()["error"]
            assert set(error) == {"message", "type", "param", "code"}
        except (ValueError, KeyError, AssertionError):
            outcome.misshapen += 1

    async def _hang_up(self, http: httpx2.AsyncClient, number: int, outcome: Outcome) -> None:
        rng = random.Random(number)
        body = {**self._body(number), "temperature": 1, "n": 3, "max_tokens": 200, "stream": True}
        async with http.stream("POST", "/v1/completions", json=body) as stream:
            outcome.statuses[f"hung up {stream.status_code}"] += 1
            async for _ in stream.aiter_lines():
                if rng.random() < 0.2:
                    break
        outcome.hung_up += 1

    async def _complete(self, http: httpx2.AsyncClient, number: int, outcome: Outcome) -> None:
        started = time.perf_counter()
        body = self._body(number)
        if number % 2:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
            text, tokens, first = "", 0, None
            async with http.stream("POST", "/v1/completions", json=body) as stream:
                status = stream.status_code
                async for line in stream.aiter_lines():
                    if not line.startswith("data: {"):
                        continue
                    first = first or time.perf_counter() - started
                    event = json.loads(line[6:])
                    text += "".join(choice["text"] for choice in event.get("choices", ()))
                    tokens = (event.get("usage") or {}).get("completion_tokens", tokens)
            outcome.first_seconds.append(first or 0.0)
        else:
            answer = await http.post("/v1/completions", json=body)
            status, whole = answer.status_code, answer.json()
            if status == 200:
                text, tokens = whole["choices"][0]["text"], whole["usage"]["completion_tokens"]
            else:
                text, tokens = "", 0
        outcome.statuses[f"good {status}"] += 1
        outcome.seconds.append(time.perf_counter() - started)
        outcome.tokens += tokens
        outcome.different += text != self._expected[number % len(TEXTS)]


def offline(served: LocalLLM, max_tokens: int, requests: int) -> tuple[list[str], float]:
    """The continuation of each text, and the engine's tokens per second on as many requests."""
    engine = served.engine(max_rows=256, max_cache_bytes=1 << 30)
    params = SamplingParams(max_new_tokens=max_tokens, temperature=0, stop=served.stop_ids)
    each = [Request(tuple(served.text_prompt(text)), params) for text in TEXTS]
    texts = [served.tokenizer.decode(row[0].token_ids) for row in engine.generate(each)]
    started = time.perf_counter()
    rows = engine.generate([each[number % len(each)] for number in range(requests)])
    seconds = time.perf_counter() - started
    return texts, sum(len(row[0].token_ids) for row in rows) / seconds


def memory_mb(pid: int) -> float:
    """Resident memory of a process (Linux)."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else float("nan")


def blocks_in_use(address: str) -> float:
    """Blocks of the KV cache still in use once nothing runs; waits at most half a minute."""
    used = float("nan")
    for _ in range(300):
        text = httpx2.get(f"{address}/metrics", timeout=60).text
        found = re.search(r"^glassmind_cache_blocks_used (\S+)$", text, re.MULTILINE)
        used = float(found[1]) if found else float("nan")
        if used == 0:
            break
        time.sleep(0.1)
    return used


def percentile(values: list[float], share: float) -> float:
    """The value that a ``share`` of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", nargs="?", default="")
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--max-tokens", type=int, default=48)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    good = sum(number % 10 not in (0, 5) for number in range(args.requests))
    expected, alone = offline(open_local(args.model), args.max_tokens, good)
    with server(args.model, "--threads", str(args.threads)) as at:
        storm = Storm(at.address, expected, args.max_tokens)
        before = memory_mb(at.pid)
        storms, memory, leaked = [], [], []
        for _ in range(2):
            storms.append(asyncio.run(storm.run(args.requests, args.clients)))
            leaked.append(blocks_in_use(at.address))
            memory.append(memory_mb(at.pid))

    statuses = storms[0].statuses + storms[1].statuses
    for status, count in sorted(statuses.items()):
        print(f"{status:<16} {count:6d}")
    last = storms[1]
    through = last.tokens / last.wall
    print(f"texts that differ from offline   {sum(s.different for s in storms)}")
    print(f"first token   p50 {percentile(last.first_seconds, 0.5):.3f} s   "
          f"p99 {percentile(last.first_seconds, 0.99):.3f} s")  # fmt: skip
    print(f"whole answer  p50 {statistics.median(last.seconds):.3f} s   "
          f"p99 {percentile(last.seconds, 0.99):.3f} s")  # fmt: skip
    print(f"tokens a second: {through:.0f} in good answers, engine alone {alone:.0f}")
    print(f"memory: {before:.0f} MB, after each storm {memory[0]:.0f} and {memory[1]:.0f} MB; "
          f"blocks left in use {leaked}")  # fmt: skip
    result = {
        "benchmark": "serving_load",
        "requests": 2 * args.requests,
        "clients": args.clients,
        "statuses": dict(sorted(statuses.items())),
        "server_errors": sum(n for s, n in statuses.items() if s.split()[-1].startswith("5")),
        "different_texts": sum(s.different for s in storms),
        "misshapen_errors": sum(s.misshapen for s in storms),
        "requests_per_second": args.requests / last.wall,
        "tokens_per_second": through,
        "engine_alone_tokens_per_second": alone,
        "first_token_p50": percentile(last.first_seconds, 0.5),
        "first_token_p99": percentile(last.first_seconds, 0.99),
        "memory_mb": [before, *memory],
        "blocks_in_use": leaked,
    }
    print(json.dumps(result))
    wrong = ("server_errors", "different_texts", "misshapen_errors")
    return 1 if any(result[name] for name in wrong) or any(leaked) else 0


if __name__ == "__main__":
    sys.exit(main())
