"""Hostile requests at length: every answer is a decent one, and nothing is left behind.

    python benchmarks/fuzz_requests.py                             10,000 requests, 500 hang-ups
    python benchmarks/fuzz_requests.py --requests 500 --hang-ups 50 --model smollm2

`glassmind serve` runs in a process of its own. It is sent requests of the corpus in
`tests/hostile_requests.py` with up to three things wrong in each (a few hundred of them are a
test), from several clients at once; then clients that reset their connection at every stage, from
half a header to the middle of a stream. Not a single 5xx, traceback or error without OpenAI's form
may come back; afterwards no block of the KV cache may be in use, and the log may not be long.

What is printed: statuses, the slowest requests, the server's memory before and after. The last line
is one JSON object; the exit code is 1 where something was wrong. Linux only.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import socket
import struct
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
from serving_process import server

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from hostile_requests import fault, hostile

LONG = {"prompt": "What", "max_tokens": 200, "n": 32, "stream": True, "temperature": 1}


def memory_mb(pid: int) -> float:
    """Resident memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


async def fuzz(address: str, requests: int, clients: int, first: int) -> dict[str, object]:
    """Send hostile requests; statuses, faults and the slowest."""
    statuses: Counter[int] = Counter()
    faults: list[str] = []
    slowest: list[tuple[float, int]] = []
    seeds: Iterator[int] = iter(range(first, first + requests))

    async def client() -> None:
        async with httpx2.AsyncClient(base_url=address, timeout=600) as http:
            for seed in seeds:
                sent = hostile(random.Random(seed))
                started = time.perf_counter()
                answer = await http.post(sent.path, content=sent.content, headers=sent.headers)
                slowest.append((time.perf_counter() - started, seed))
                statuses[answer.status_code] += 1
                problem = fault(answer)
                if problem is not None:
                    faults.append(f"{seed}: {problem}: {sent.path} {sent.content[:200]!r}")

    await asyncio.gather(*(client() for _ in range(clients)))
    return {
        "statuses": dict(sorted(statuses.items())),
        "faults": faults,
        "slowest": [(round(seconds, 2), seed) for seconds, seed in sorted(slowest)[-5:]],
    }


def hang_up(address: str, number: int) -> None:
    """Reset a connection after a part of a request, or of its answer."""
    where = urlsplit(address)
    text = json.dumps(LONG)
    head = f"POST /v1/completions HTTP/1.1\r\nHost: {where.hostname}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n"
    request = (head + text).encode()
    rng = random.Random(number)
    with socket.create_connection((where.hostname, where.port), timeout=60) as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if number % 2:
            raw.sendall(request[: rng.randrange(len(request))])
        else:
            raw.sendall(request)
            end = b""
            for _ in range(rng.randrange(40)):
                got = raw.recv(rng.choice([1, 50, 4096]))
                end = end[-16:] + got
                if not got or b"[DONE]" in end:  # nothing more comes on a connection kept alive
                    break


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", default="", help="what is served (the package's own model)")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--hang-ups", type=int, default=500)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    args = parser.parse_args()
    with server(args.model, "--max-tokens", "16") as served:
        before = memory_mb(served.pid)
        started = time.perf_counter()
        found = asyncio.run(fuzz(served.address, args.requests, args.clients, args.first))
        seconds = time.perf_counter() - started
        for number in range(args.hang_ups):
            hang_up(served.address, number)
        end = time.monotonic() + 120
        while "cache_blocks_used 0.0" not in (
            metrics := httpx2.get(f"{served.address}/metrics", timeout=60).text
        ):
            if time.monotonic() > end:
                break
            time.sleep(0.2)
        clean = "cache_blocks_used 0.0" in metrics
        healthy = httpx2.get(f"{served.address}/health", timeout=60).is_success
        after = memory_mb(served.pid)
    print(f"{args.requests} hostile requests in {seconds:.0f} s, {args.hang_ups} hang-ups")
    for name, value in found.items():
        print(f"  {name}: {value}")
    print(f"  memory: {before:.0f} MB before, {after:.0f} MB after; no block in use: {clean}")
    result = {
        "benchmark": "fuzz_requests",
        "requests": args.requests,
        "hang_ups": args.hang_ups,
        "seconds": round(seconds, 1),
        **found,
        "memory_mb": [round(before), round(after)],
        "clean": clean,
        "healthy": healthy,
    }
    print(json.dumps(result))
    return int(bool(found["faults"]) or not (clean and healthy))


if __name__ == "__main__":
    raise SystemExit(main())
