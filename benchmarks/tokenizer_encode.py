"""Encoding on one core: ours, in Python, against ``tokenizers`` and ``tiktoken``, in Rust.

    python benchmarks/tokenizer_encode.py
    python benchmarks/tokenizer_encode.py --megabytes 2 --only gpt2,own --repeats 1

All sides encode the same books, one document each, in the same vocabulary: three published ones and
our own. Every tokenizer is made anew for every repeat (not timed), so all begin with empty caches;
the repeats of the sides take turns, the fastest of each counts, and seconds are processor time.
``tokenizers`` is measured with ``encode_batch`` and with ``encode_batch_fast``, which does not
compute the position of each token in the text; ``tiktoken`` is our tokenizer after
``with_tiktoken``. The last line is one JSON object; the exit code is 1 if ids differ.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Callable
from importlib.metadata import version

import tokenizer_peers as peers
from rich.console import Console
from rich.table import Table

from glassmind.tokenize.corpus.tiktoken_encoder import with_tiktoken

NAMES = ("gpt2", "llama3_2", "qwen3", "own")
OURS, BATCH, FAST, TIKTOKEN = SIDES = (
    "glassmind",
    "tokenizers encode_batch",
    "tokenizers encode_batch_fast",
    "glassmind on tiktoken",
)

Ids = list[list[int]]


def encoder(side: str, vocabulary: peers.Vocabulary) -> Callable[[list[str]], Ids]:
    """The encoding function of one side, with empty caches."""
    if side in (OURS, TIKTOKEN):
        ours = vocabulary.ours()
        return (ours if side == OURS else with_tiktoken(ours)).encode_batch
    theirs = vocabulary.theirs()
    encode = theirs.encode_batch if side == BATCH else theirs.encode_batch_fast
    # These do not return lists of ids yet; the conversion is not timed for any side.
    return lambda texts: encode(texts, add_special_tokens=False)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--megabytes", type=float, default=10)
    parser.add_argument("--repeats", type=int, default=3, help="runs per side; the fastest counts")
    parser.add_argument("--only", default=",".join(NAMES), help="vocabularies, separated by commas")
    args = parser.parse_args()
    names = args.only.split(",")
    if not set(names) <= set(NAMES):
        parser.error(f"--only: choose from {', '.join(NAMES)}")

    texts = peers.books(args.megabytes)
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    table = Table(title=f"{megabytes:.1f} MB of books, {len(texts)} documents, one core, MB/s")
    table.add_column("vocabulary")
    for column in (*SIDES, "ours / batch", "ours / fast", "ids equal"):
        table.add_column(column, justify="right")
    results: dict[str, dict[str, object]] = {}
    all_equal = True
    for name in names:
        vocabulary = peers.vocabulary(name)
        best = dict.fromkeys(SIDES, float("inf"))
        equal = True
        for _ in range(args.repeats):
            expected: Ids = []
            for side in SIDES:
                encode = encoder(side, vocabulary)
                seconds, encoded = peers.processor_seconds(encode, texts)
                best[side] = min(best[side], seconds)
                ids = encoded if side in (OURS, TIKTOKEN) else [one.ids for one in encoded]
                expected = expected or ids
                equal &= ids == expected
        rate = {side: megabytes / seconds for side, seconds in best.items()}
        ratio, ratio_fast = rate[OURS] / rate[BATCH], rate[OURS] / rate[FAST]
        all_equal &= equal
        table.add_row(
            name,
            *(f"{rate[side]:.2f}" for side in SIDES),
            f"{ratio:.2f} x",
            f"{ratio_fast:.2f} x",
            "yes" if equal else "NO",
        )
        results[name] = {
            "megabytes_per_second": {side: round(value, 3) for side, value in rate.items()},
            "ratio": round(ratio, 3),
            "ratio_to_fast": round(ratio_fast, 3),
            "identical": equal,
        }
    Console(width=140).print(table)
    facts = {
        "benchmark": "tokenizer_encode",
        "megabytes": round(megabytes, 3),
        "documents": len(texts),
        "repeats": args.repeats,
        "cold": True,
        "results": results,
        "python": platform.python_version(),
        **{package: version(package) for package in ("tokenizers", "tiktoken", "regex")},
    }
    print(json.dumps(facts))
    return 0 if all_equal else 1


if __name__ == "__main__":
    sys.exit(main())
