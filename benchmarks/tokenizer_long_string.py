"""Text without a space: does the time grow with the length, or with its square?

    python benchmarks/tokenizer_long_string.py

Text that the pre-split does not cut is merged as one piece, so a long run of letters is the worst
case of an encoder. Random letters and one letter repeated, in GPT-2's vocabulary, at doubling
lengths, are encoded by ours, ``tokenizers`` and ``tiktoken`` (by ``with_tiktoken``). Seconds are
processor time; *growth* is the exponent with which they grow, from the shortest length to the
longest (1: linear, 2: quadratic). The last line is one JSON object; the exit code is 1 if ids
differ.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import random
import string
import sys
from importlib.metadata import version

import tokenizer_peers as peers
from rich.console import Console
from rich.table import Table

from glassmind.tokenize.corpus.tiktoken_encoder import with_tiktoken


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--megabytes", type=float, default=2, help="length of the longest text")
    parser.add_argument("--repeats", type=int, default=3, help="runs per side; the fastest counts")
    args = parser.parse_args()

    vocabulary = peers.vocabulary("gpt2")
    ours, theirs = vocabulary.ours(), vocabulary.theirs()
    on_tiktoken = with_tiktoken(ours)
    sides = {
        "glassmind": ours.encode,
        "tokenizers": lambda text: theirs.encode(text, add_special_tokens=False).ids,
        "glassmind on tiktoken": on_tiktoken.encode,
    }
    longest = int(args.megabytes * 1e6)
    lengths = [longest // 8, longest // 4, longest // 2, longest]
    letters = "".join(random.Random(0).choices(string.ascii_lowercase, k=longest))
    table = Table(title="seconds for a text without a space, GPT-2's vocabulary, one core")
    table.add_column("text")
    table.add_column("encoder")
    for length in lengths:
        table.add_column(f"{length / 1e6:g} MB", justify="right")
    table.add_column("growth", justify="right")
    results: dict[str, dict[str, dict[str, object]]] = {}
    identical = True
    for name, text in (("random letters", letters), ("one letter", "a" * longest)):
        seconds: dict[str, list[float]] = {side: [] for side in sides}
        for length in lengths:
            best = dict.fromkeys(sides, float("inf"))
            for _ in range(args.repeats):
                expected: list[int] = []
                for side, encode in sides.items():
                    took, ids = peers.processor_seconds(encode, text[:length])
                    best[side] = min(best[side], took)
                    expected = expected or ids
                    identical &= ids == expected
            for side in sides:
                seconds[side].append(best[side])
        results[name] = {}
        for side, values in seconds.items():
            growth = math.log(values[-1] / values[0], lengths[-1] / lengths[0])
            table.add_row(name, side, *(f"{value:.2f}" for value in values), f"{growth:.2f}")
            results[name][side] = {
                "seconds": [round(value, 3) for value in values],
                "growth": round(growth, 3),
                "ratio": round(values[-1] / seconds["tokenizers"][-1], 3),
            }
    Console(width=100).print(table)
    print("ids identical:", "yes" if identical else "NO")
    facts = {
        "benchmark": "tokenizer_long_string",
        "megabytes": [length / 1e6 for length in lengths],
        "identical": identical,
        "results": results,
        "python": platform.python_version(),
        **{package: version(package) for package in ("tokenizers", "tiktoken")},
    }
    print(json.dumps(facts))
    return 0 if identical else 1


if __name__ == "__main__":
    sys.exit(main())
