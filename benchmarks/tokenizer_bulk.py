"""The speed and memory of encoding a corpus on all cores.

    python benchmarks/tokenizer_bulk.py
    python benchmarks/tokenizer_bulk.py --megabytes 20

The books, unpacked into a text file, are encoded by ``tokenize_corpus`` with one worker and with
one per core; and again with a tenth of the text, to see whether the memory grows with it. The peer,
``tokenizers``, encodes the same documents on as many cores (``encode_batch_fast``, as many
documents at a time as there are cores) and writes the same file. The vocabulary is ours. Every run
is a separate process. Seconds are wall-clock time from the text file to the file of ids, including
making the tokenizer and starting the workers; memory is the peak of the process and, with workers,
that of the largest of them. The last line is one JSON object; the exit code is 1 if the files of
ids differ.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import lzma
import os
import platform
import resource
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tokenizer_peers as peers
from rich.console import Console
from rich.table import Table

from glassmind.tokenize.corpus.bulk import tokenize_corpus
from glassmind.tokenize.corpus.documents import read_documents


class Run(NamedTuple):
    """The cost and result of one run. ``worker_bytes`` is 0 without workers."""

    seconds: float
    peak_bytes: int
    worker_bytes: int
    sha256: str


def ours(vocabulary: str, text: Path, ids: Path, workers: int) -> Run:
    """``tokenize_corpus``, in the process that calls this."""
    start = time.perf_counter()
    tokenizer = peers.own(vocabulary).ours()
    tokenize_corpus([text], tokenizer, ids, separator=peers.BETWEEN, workers=workers)
    return _run(start, ids)


def theirs(vocabulary: str, text: Path, ids: Path, cores: int) -> Run:
    """The same with ``tokenizers``, which reads how many threads it may have when first used."""
    os.environ["RAYON_NUM_THREADS"] = str(cores)
    os.environ["TOKENIZERS_PARALLELISM"] = "true"
    start = time.perf_counter()
    tokenizer = peers.own(vocabulary).theirs()
    documents = read_documents(text, peers.BETWEEN)
    with ids.open("wb") as file:
        while batch := list(itertools.islice(documents, cores)):
            for encoded in tokenizer.encode_batch_fast(batch, add_special_tokens=False):
                file.write(np.array(encoded.ids, dtype="<u2").tobytes())
    return _run(start, ids)


def _run(start: float, ids: Path) -> Run:
    seconds = time.perf_counter() - start
    peak, worker = (
        resource.getrusage(who).ru_maxrss << 10
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    with ids.open("rb") as file:
        return Run(seconds, peak, worker, hashlib.file_digest(file, "sha256").hexdigest())


def unpack_books(path: Path, n_bytes: int) -> int:
    """Writes the first lines of the books, about that many bytes. Returns the exact number."""
    written = 0
    with lzma.open(peers.packed_books()) as packed, path.open("wb") as file:
        for line in packed:
            written += file.write(line)
            if written >= n_bytes:
                break
    return written


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--megabytes", type=float, default=110)
    args = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    sides = {
        "glassmind, 1 worker": (ours, 1),
        f"glassmind, {cores} workers": (ours, cores),
        f"tokenizers, {cores} threads": (theirs, cores),
    }

    table = Table(title=f"books to a file of ids, {cores} cores")
    for column in ("text", "encoder", "seconds", "MB/s", "peak memory, MB", "of a worker, MB"):
        table.add_column(column, justify="left" if column in ("text", "encoder") else "right")
    results: dict[str, dict[str, dict[str, float]]] = {}
    identical = True
    with tempfile.TemporaryDirectory() as folder:
        vocabulary = peers.in_own_process(peers.train_own)
        for megabytes in (args.megabytes / 10, args.megabytes):
            text = Path(folder) / "books.txt"
            size = unpack_books(text, int(megabytes * 1e6)) / 1e6
            runs: dict[str, Run] = {}
            for side, (work, n) in sides.items():
                ids = Path(folder) / "ids.bin"
                runs[side] = peers.in_own_process(work, vocabulary, text, ids, n)
            identical &= len({run.sha256 for run in runs.values()}) == 1
            for side, run in runs.items():
                table.add_row(
                    f"{size:.0f} MB",
                    side,
                    f"{run.seconds:.1f}",
                    f"{size / run.seconds:.2f}",
                    f"{run.peak_bytes / 1e6:.0f}",
                    f"{run.worker_bytes / 1e6:.0f}" if run.worker_bytes else "",
                )
            results[f"{size:.1f} MB"] = {
                side: {
                    "seconds": round(run.seconds, 2),
                    "peak_megabytes": run.peak_bytes // 10**6,
                    "worker_megabytes": run.worker_bytes // 10**6,
                }
                for side, run in runs.items()
            }
    one, every, peer = (run.seconds for run in runs.values())
    Console(width=100).print(table)
    print("files of ids identical:", "yes" if identical else "NO")
    facts = {
        "benchmark": "tokenizer_bulk",
        "cores": cores,
        "identical": identical,
        "results": results,
        "speedup_of_every_core": round(one / every, 3),
        "ratio": round(peer / every, 3),
        "python": platform.python_version(),
        "tokenizers": version("tokenizers"),
    }
    print(json.dumps(facts))
    return 0 if identical else 1


if __name__ == "__main__":
    sys.exit(main())
