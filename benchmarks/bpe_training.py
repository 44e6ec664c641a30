"""Training byte-level BPE: ours, in Python, against the Rust library ``tokenizers``.

    python benchmarks/bpe_training.py --megabytes 10 --vocab 4096

Both learn from the same text on one core, with the same pre-split and the same special tokens,
and must arrive at the identical merges and vocabulary. The Rust library is timed twice: given the
text whole, and given it in blocks of about a megabyte (which suits it better); the ratio is taken
against the faster. Reading the text is not timed. The last line is one JSON object; the exit code
is 1 where the merges differ.
"""

from __future__ import annotations

import argparse
import json
import lzma
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

# Before the library is imported: it makes its threads once.
os.environ["RAYON_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import tokenizers
from rich.console import Console
from rich.table import Table
from tokenizers import models, pre_tokenizers, trainers

from glassmind.tokenize import SPECIAL_TOKENS, save, train_bpe
from glassmind.tokenize.presplit import PATTERN, blocks


def train_rust(texts: Iterable[str], vocab_size: int) -> dict[str, Any]:
    """The ``model`` part of the tokenizer.json that the Rust library learns."""
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(tokenizers.Regex(PATTERN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=list(SPECIAL_TOKENS),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    model: dict[str, Any] = json.loads(tokenizer.to_str())["model"]
    return model


def train_ours(texts: Iterable[str], vocab_size: int) -> dict[str, Any]:
    """The same of ours, by way of the file we save."""
    tokenizer = train_bpe(texts, vocab_size)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tokenizer.json"
        save(tokenizer, path)
        model: dict[str, Any] = json.loads(path.read_text("utf-8"))["model"]
    return model


def read_text(path: Path, n_bytes: int) -> str:
    """The first ``n_bytes`` of a text file, packed (.xz) or plain."""
    with lzma.open(path) if path.suffix == ".xz" else path.open("rb") as file:
        return file.read(n_bytes).decode("utf-8", "ignore")


def timed(work: Callable[[], dict[str, Any]], repeats: int) -> tuple[float, dict[str, Any]]:
    """The best of ``repeats`` runs in seconds, and the result."""
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        result = work()
        best = min(best, time.perf_counter() - start)
    return best, result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--text", type=Path, help="default: books under $GLASSMIND_DATA")
    parser.add_argument("--megabytes", type=float, default=10)
    parser.add_argument("--vocab", type=int, default=4096)
    parser.add_argument("--repeats", type=int, default=3, help="the fastest counts")
    args = parser.parse_args()
    path = args.text
    if path is None:
        if "GLASSMIND_DATA" not in os.environ:
            parser.error("give --text FILE or set GLASSMIND_DATA")
        path = Path(os.environ["GLASSMIND_DATA"]) / "text" / "books_train.txt.xz"

    text = read_text(path, int(args.megabytes * 1e6))
    in_blocks = list(blocks(text))
    seconds: dict[str, float] = {}
    ours_s, ours = timed(lambda: train_ours([text], args.vocab), args.repeats)
    seconds["glassmind"] = ours_s
    whole_s, rust = timed(lambda: train_rust([text], args.vocab), args.repeats)
    seconds["tokenizers, text whole"] = whole_s
    blocks_s, _ = timed(lambda: train_rust(in_blocks, args.vocab), args.repeats)
    seconds["tokenizers, text in blocks"] = blocks_s

    fastest = min(whole_s, blocks_s)
    identical = ours["merges"] == rust["merges"] and ours["vocab"] == rust["vocab"]
    table = Table(
        title=f"BPE, {len(text.encode()) / 1e6:.1f} MB, vocabulary {args.vocab}, one core"
    )
    table.add_column("trainer")
    table.add_column("seconds", justify="right")
    table.add_column("against the faster tokenizers", justify="right")
    for name, value in seconds.items():
        table.add_row(name, f"{value:.2f}", f"{value / fastest:.2f} x")
    Console().print(table)
    print("merges and vocabulary identical:", "yes" if identical else "NO")
    print(
        json.dumps(
            {
                "benchmark": "bpe_training",
                "text": path.name,
                "megabytes": args.megabytes,
                "vocab": args.vocab,
                "merges": len(ours["merges"]),
                "identical": identical,
                "seconds": {name: round(value, 3) for name, value in seconds.items()},
                "ratio": round(ours_s / fastest, 3),
                "tokenizers": tokenizers.__version__,
                "python": sys.version.split()[0],
            }
        )
    )
    return 0 if identical else 1


if __name__ == "__main__":
    sys.exit(main())
