"""Compare ids with the libraries that the tokenizers were made for: how many texts differ?

    python benchmarks/tokenizer_parity.py
    python benchmarks/tokenizer_parity.py --only gpt2,llama2 --strings 10000 --megabytes 1

Nasty strings (emoji sequences, combining marks, every control byte, right-to-left text, long runs,
spellings of special tokens), books in stretches of about 50,000 characters, and a megabyte without
a space, through every tokenizer in ``tests/interop/tokenizer_pairs.py``: the real ones under
$GLASSMIND_DATA, and one of each widely used style, trained by the benchmark. A difference counts as
explained if the text has a character that the two tokenizers encode differently even alone, because
one of them has older Unicode tables (these code points are listed), or the spelling of a special
token that the reference turns into the token although this is switched off. The last line is one
JSON object; the exit code is 1 if a difference is not explained.
"""

from __future__ import annotations

import argparse
import json
import lzma
import os
import platform
import random
import string
import sys
import time
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "interop"))

from nasty_strings import nasty_strings
from rich.console import Console
from rich.table import Table
from tokenizer_pairs import REAL, TRAINED, Pair, real_pair, trained_pair

STRETCH = 50_000  # characters of a book at a time


@dataclass
class Count:
    """The result of comparing texts of one kind."""

    texts: int = 0
    characters: int = 0
    differ: int = 0
    explained: int = 0
    code_points: set[str] = field(default_factory=set)
    first: str | None = None

    def compare(self, pair: Pair, texts: Iterable[str]) -> Count:
        for text in texts:
            self.texts += 1
            self.characters += len(text)
            if pair.ours.encode(text) == pair.encode(text):
                continue
            self.differ += 1
            unlike = pair.unlike(text)
            self.code_points.update(unlike)
            if unlike or pair.leaked(text):
                self.explained += 1
            elif self.first is None:
                self.first = text[:200]
        return self


def stretches(books: Path, n_bytes: int) -> Iterator[str]:
    """The first ``n_bytes`` of the books in stretches that end where a line does."""
    with lzma.open(books) as file:
        text = file.read(n_bytes).decode("utf-8", "ignore")
    start = 0
    while start < len(text):
        end = text.find("\n", start + STRETCH) + 1 or len(text)
        yield text[start:end]
        start = end


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--strings", type=int, default=100_000, help="number of nasty strings")
    parser.add_argument("--megabytes", type=float, default=10, help="of books")
    parser.add_argument("--seed", type=int, default=0, help="seed of the nasty strings")
    parser.add_argument(
        "--only", default=",".join([*REAL, *TRAINED]), help="names, separated by commas"
    )
    args = parser.parse_args()
    if "GLASSMIND_DATA" not in os.environ:
        parser.error("set GLASSMIND_DATA to the folder of real data")
    data = Path(os.environ["GLASSMIND_DATA"])
    names = args.only.split(",")
    if not set(names) <= {*REAL, *TRAINED}:
        parser.error(f"--only: choose from {', '.join([*REAL, *TRAINED])}")

    books = list(stretches(data / "text" / "books_train.txt.xz", int(args.megabytes * 1e6)))
    letters = "".join(random.Random(args.seed).choices(string.ascii_lowercase, k=1_000_000))
    table = Table(title="texts whose ids differ from the reference's (of them explained)")
    for column in ("tokenizer", "reference", "nasty strings", "books", "1 MB, no space", "s"):
        table.add_column(
            column, justify="left" if column in ("tokenizer", "reference") else "right"
        )
    results: dict[str, dict[str, object]] = {}
    console = Console()
    unexplained = 0
    for name in names:
        start = time.perf_counter()
        pair = real_pair(name, data) if name in REAL else trained_pair(name)
        counts = {
            "nasty": Count().compare(pair, nasty_strings(args.seed, args.strings)),
            "books": Count().compare(pair, books),
            "no space": Count().compare(pair, [letters]),
        }
        reference = type(pair.theirs).__module__.partition(".")[0]
        table.add_row(
            name,
            reference,
            *(f"{c.differ} ({c.explained}) / {c.texts:,}" for c in counts.values()),
            f"{time.perf_counter() - start:.0f}",
        )
        for kind, count in counts.items():
            unexplained += count.differ - count.explained
            if count.first is not None:
                console.print(f"{name}, {kind}: {count.first!a}", markup=False)
        results[name] = {
            "reference": reference,
            **{
                kind: {k: v for k, v in asdict(c).items() if k not in ("code_points", "first")}
                for kind, c in counts.items()
            },
            "code_points": sorted(
                f"U+{ord(character):04X}" for c in counts.values() for character in c.code_points
            ),
        }
        console.print(f"{name}: done", style="dim")
    console.print(table)
    facts = {
        "benchmark": "tokenizer_parity",
        "strings": args.strings,
        "megabytes": args.megabytes,
        "seed": args.seed,
        "unexplained": unexplained,
        "results": results,
        "unicode": unicodedata.unidata_version,
        "python": platform.python_version(),
        **{p: version(p) for p in ("regex", "tokenizers", "tiktoken", "sentencepiece")},
    }
    print(json.dumps(facts))
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
