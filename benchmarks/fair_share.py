"""One greedy client beside a modest one: how much longer does the modest one wait?

    python benchmarks/fair_share.py                 the model that comes with the package
    python benchmarks/fair_share.py smollm2 --greedy 256 --tokens 24

`glassmind serve` runs in a process of its own, with a key for each of two clients. The modest one
sends short requests for one sample, one after the other, first alone and then while a request of
the greedy one for 1,024 samples runs, again as soon as it is done. Its latency should at most
double.

What is printed: the medians of both and their ratio. The last line is one JSON object, also with
the events a second that the greedy client got.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import threading
import time
from pathlib import Path

import httpx2
from serving_process import server

PROMPT = "Mia has 3 boxes of 12 pencils. She gives 5 away. How many are left?"


def client(address: str, name: str) -> httpx2.Client:
    """A client with a key of its own."""
    headers = {"Authorization": f"Bearer {name}-key-of-the-benchmark"}
    return httpx2.Client(base_url=address, headers=headers, timeout=3600)


def modest_seconds(http: httpx2.Client, n: int, tokens: int) -> list[float]:
    """How long each of ``n`` requests took."""
    seconds = []
    for number in range(n):
        body = {"prompt": PROMPT, "max_tokens": tokens, "seed": number}
        started = time.perf_counter()
        http.post("/v1/completions", json=body).raise_for_status()
        seconds.append(time.perf_counter() - started)
    return seconds


class Greedy(threading.Thread):
    """Asks for many samples, again and again, until told to stop."""

    def __init__(self, address: str, samples: int, tokens: int) -> None:
        super().__init__()
        self._address, self._samples, self._tokens = address, samples, tokens
        self.stopping, self.begun = threading.Event(), threading.Event()
        self.rates: list[float] = []

    def run(self) -> None:
        n = min(128, self._samples)
        body = {"prompt": [PROMPT] * (self._samples // n), "n": n, "max_tokens": self._tokens,
                "stream": True}  # fmt: skip
        with client(self._address, "greedy") as http:
            while not self.stopping.is_set():
                started, events = time.perf_counter(), 0
                with http.stream("POST", "/v1/completions", json=body) as stream:
                    for line in stream.iter_lines():
                        self.begun.set()
                        events += line.startswith("data: {")
                        if self.stopping.is_set():
                            break
                self.rates.append(events / (time.perf_counter() - started))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("model", nargs="?", default="")
    parser.add_argument("--greedy", type=int, default=1024, help="samples of the greedy request")
    parser.add_argument("--tokens", type=int, default=32, help="of each of the modest answers")
    parser.add_argument("--requests", type=int, default=20, help="of the modest client")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        keys = Path(folder) / "keys"
        keys.write_text("modest-key-of-the-benchmark\ngreedy-key-of-the-benchmark\n")
        with (
            server(args.model, "--keys", str(keys)) as served,
            client(served.address, "modest") as http,
        ):
            modest_seconds(http, 3, args.tokens)  # warm
            alone = modest_seconds(http, args.requests, args.tokens)
            greedy = Greedy(served.address, args.greedy, 256)
            greedy.start()
            greedy.begun.wait(600)
            modest_seconds(http, 2, args.tokens)  # what a pass costs is being learned
            beside = modest_seconds(http, args.requests, args.tokens)
            greedy.stopping.set()
            greedy.join()
    before, after = statistics.median(alone), statistics.median(beside)
    print(
        f"modest client, {args.tokens} tokens: {before:.3f} s alone, {after:.3f} s beside a request"
    )
    print(f"a request for {args.greedy} samples: {after / before:.2f} times as long (medians)")
    result = {
        "benchmark": "fair_share",
        "model": args.model or "shipped",
        "greedy_samples": args.greedy,
        "alone_s": round(before, 4),
        "beside_s": round(after, 4),
        "ratio": round(after / before, 2),
        "greedy_events_per_s": [round(rate, 1) for rate in greedy.rates],
    }
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
