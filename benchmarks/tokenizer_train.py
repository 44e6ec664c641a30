"""Learning a byte-level BPE vocabulary: ours, in Python, against the Rust library ``tokenizers``.

    python benchmarks/tokenizer_train.py
    python benchmarks/tokenizer_train.py --megabytes 10 --vocab 4096 --repeats 3

Both learn from the same books, one document each, on one core, with the same pre-split and the same
special tokens, and must produce identical merges and vocabularies. Each training runs in a separate
process, so that its peak memory can be measured (including the text, which is in memory for both).
The repeats take turns, the fastest counts, and seconds are processor time without reading the text.
The last line is one JSON object; the exit code is 1 if the merges differ.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import tokenizer_peers as peers
import tokenizers
from rich.console import Console
from rich.table import Table
from tokenizers import models, pre_tokenizers, trainers

from glassmind.tokenize import SPECIAL_TOKENS, save, train_bpe
from glassmind.tokenize.bpe.presplit import PATTERN

OURS, THEIRS = SIDES = ("glassmind", "tokenizers")


class Trained(NamedTuple):
    """The result of one training; ``model`` is that part of the ``tokenizer.json``."""

    seconds: float
    peak_bytes: int
    model: dict[str, Any]


def train(side: str, megabytes: float, vocab_size: int) -> Trained:
    """One training, in the process that calls this."""
    texts = peers.books(megabytes)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tokenizer.json"
        if side == OURS:
            seconds, ours = peers.processor_seconds(train_bpe, texts, vocab_size)
            save(ours, path)
        else:
            theirs, trainer = rust_trainer(vocab_size)
            seconds, _ = peers.processor_seconds(theirs.train_from_iterator, texts, trainer)
            theirs.save(str(path))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
        return Trained(seconds, peak, json.loads(path.read_text("utf-8"))["model"])


def rust_trainer(vocab_size: int) -> tuple[tokenizers.Tokenizer, trainers.BpeTrainer]:
    """The library's tokenizer, untrained, and its trainer, with the same settings as ours."""
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
    return tokenizer, trainer


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--megabytes", type=float, default=100)
    parser.add_argument("--vocab", type=int, default=32_768)
    parser.add_argument("--repeats", type=int, default=1, help="runs per side; the fastest counts")
    args = parser.parse_args()

    best: dict[str, Trained] = {}
    identical = True
    for _ in range(args.repeats):
        for side in SIDES:
            trained = peers.in_own_process(train, side, args.megabytes, args.vocab)
            best[side] = min(best.get(side, trained), trained, key=lambda one: one.seconds)
            identical &= trained.model["merges"] == best[OURS].model["merges"]
            identical &= trained.model["vocab"] == best[OURS].model["vocab"]
    ratio = best[OURS].seconds / best[THEIRS].seconds
    table = Table(title=f"BPE, {args.megabytes:g} MB of books, vocabulary {args.vocab:,}, one core")
    for column in ("trainer", "seconds", "against tokenizers", "peak memory, MB"):
        table.add_column(column, justify="left" if column == "trainer" else "right")
    for side, trained in best.items():
        relative = f"{trained.seconds / best[THEIRS].seconds:.2f} x"
        table.add_row(side, f"{trained.seconds:.2f}", relative, f"{trained.peak_bytes / 1e6:,.0f}")
    Console().print(table)
    print("merges and vocabulary identical:", "yes" if identical else "NO")
    facts = {
        "benchmark": "tokenizer_train",
        "megabytes": args.megabytes,
        "vocab": args.vocab,
        "repeats": args.repeats,
        "merges": len(best[OURS].model["merges"]),
        "identical": identical,
        "seconds": {side: round(trained.seconds, 3) for side, trained in best.items()},
        "peak_megabytes": {side: trained.peak_bytes // 10**6 for side, trained in best.items()},
        "ratio": round(ratio, 3),
        "python": platform.python_version(),
        "tokenizers": version("tokenizers"),
    }
    print(json.dumps(facts))
    return 0 if identical else 1


if __name__ == "__main__":
    sys.exit(main())
