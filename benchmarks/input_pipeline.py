"""The time to prepare a batch for the model: rows from memory, rows from a shard on the disk.

    python benchmarks/input_pipeline.py

For each shape: microseconds (median) of ``RowLoader.next()`` alone and with ``to_batch``, for rows
held in memory (``packing.stream``), rows mapped from a file (``TokenRows``), and the same rows with
separate documents. They are compared with nanoGPT's ``get_batch`` (random windows of the mapped
file, x and y stacked and widened to 64 bits) and with a training step of ``--step-ms``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from glassmind.data.batches.loader import RowLoader
from glassmind.data.batches.packing import stream
from glassmind.data.pretraining.token_shards import TokenRows
from glassmind.tokenize import SPECIAL_IDS
from glassmind.tokenize.special import END
from glassmind.train.batch import to_batch

SHAPES = ((12, 64), (16, 512))


def microseconds(work: Callable[[], object], repeats: int) -> float:
    """The median of ``repeats`` runs, after a warm-up."""
    for _ in range(20):
        work()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return statistics.median(times) * 1e6


def get_batch(path: Path, rows: int, tokens: int) -> tuple[torch.Tensor, torch.Tensor]:
    """As nanoGPT's train.py does it on a CPU."""
    data = np.memmap(path, dtype=np.uint16, mode="r")
    starts = torch.randint(len(data) - tokens, (rows,))
    x = torch.stack([torch.from_numpy(data[i : i + tokens].astype(np.int64)) for i in starts])
    y = torch.stack(
        [torch.from_numpy(data[i + 1 : i + 1 + tokens].astype(np.int64)) for i in starts]
    )
    return x, y


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=20_000_000)
    parser.add_argument("--repeats", type=int, default=500)
    parser.add_argument("--step-ms", type=float, default=40.0, help="a step to compare with")
    args = parser.parse_args()
    torch.set_num_threads(1)
    cpu, end = torch.device("cpu"), SPECIAL_IDS[END]
    results = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "train.bin"
        ids = np.random.default_rng(0).integers(7, 1024, args.tokens).astype(np.uint16)
        ids[::700] = end
        ids.tofile(path)
        mapped = np.asarray(np.memmap(path, np.uint16, "r"))
        for rows, tokens in SHAPES:
            sources = {
                "rows in memory": stream(ids.astype(np.int32), tokens),
                "rows on the disk": TokenRows(mapped, tokens),
                "the same, documents apart": TokenRows(mapped, tokens, end_of_document=end),
            }
            peer = microseconds(lambda r=rows, t=tokens: get_batch(path, r, t), args.repeats)
            print(f"{rows} x {tokens}: nanoGPT's get_batch {peer:.0f} us")
            for name, source in sources.items():
                loader = RowLoader(source, rows, seed=0)
                taken = microseconds(loader.next, args.repeats)
                batch = microseconds(lambda one=loader: to_batch(one.next(), cpu), args.repeats)
                share = batch / (args.step_ms * 1000)
                print(
                    f"  {name:<26} next {taken:6.0f} us   next + to_batch {batch:6.0f} us   "
                    f"{share:7.3%} of a step   {batch / peer:5.2f} of nanoGPT's"
                )
                results.append(
                    {"rows": rows, "tokens": tokens, "source": name, "next_us": round(taken, 1),
                     "batch_us": round(batch, 1), "peer_us": round(peer, 1), "share": share}
                )  # fmt: skip
    print(json.dumps({"benchmark": "input_pipeline", "step_ms": args.step_ms, "results": results}))


if __name__ == "__main__":
    main()
