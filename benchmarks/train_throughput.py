"""Training throughput: this package against nanoGPT's train.py, same shape, batch and context.

    python benchmarks/train_throughput.py --peer PATH/TO/nanoGPT [--data FILE]

Both train the demo's shape (d_model 128, 4 layers, 4 heads, vocabulary of the text's characters) on
the same text with AdamW, one after the other and several times in turn, on the same threads. Ours
runs at its own default precision and compile choice; the peer once eager and once compiled, and the
ratio is against the faster of the two. Ours with Muon, its default optimizer, is printed as well.

The peer's train.py is run as it is, in its own process; its printed iteration times (their median,
after the first ten) are the measurement, ours are taken the same way.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from glassmind.data.loader import RowLoader
from glassmind.data.packing import stream
from glassmind.model import AttentionConfig, ModelConfig, Transformer
from glassmind.runs.recipe import TrainConfig
from glassmind.train import Pretrain, Trainer

D_MODEL, LAYERS, HEADS = 128, 4, 4


def peer_data(peer: Path, name: str, text: str) -> int:
    """Write nanoGPT's character data set ``data/<name>``; returns the vocabulary's size."""
    folder = peer / "data" / name
    folder.mkdir(parents=True, exist_ok=True)
    characters = sorted(set(text))
    index = {c: i for i, c in enumerate(characters)}
    ids = np.array([index[c] for c in text], np.uint16)
    cut = int(0.9 * len(ids))
    ids[:cut].tofile(folder / "train.bin")
    ids[cut:].tofile(folder / "val.bin")
    # The peer reads its vocabulary size from this file; the format is its own.
    meta = {"vocab_size": len(characters), "itos": dict(enumerate(characters)), "stoi": index}
    (folder / "meta.pkl").write_bytes(pickle.dumps(meta))
    return len(characters)


def run_peer(peer: Path, name: str, args: argparse.Namespace, compiled: bool) -> float:
    """Median milliseconds of a step of the peer."""
    with tempfile.TemporaryDirectory() as out:
        command = [
            sys.executable, "train.py", f"--out_dir={out}", f"--dataset={name}", "--device=cpu",
            f"--compile={compiled}", "--eval_interval=100000", "--eval_iters=1", "--log_interval=1",
            f"--block_size={args.context}", f"--batch_size={args.batch}", f"--n_layer={LAYERS}",
            f"--n_head={HEADS}", f"--n_embd={D_MODEL}", f"--max_iters={args.steps}",
            "--lr_decay_iters=1000", "--dropout=0.0", "--gradient_accumulation_steps=1",
            "--dtype=float32", "--always_save_checkpoint=False", "--bias=False",
        ]  # fmt: skip
        environment = os.environ | {"OMP_NUM_THREADS": str(args.threads)}
        done = subprocess.run(
            command, cwd=peer, env=environment, capture_output=True, text=True, check=True
        )
    times = [float(ms) for ms in re.findall(r"time ([\d.]+)ms", done.stdout)]
    return statistics.median(times[10:])


class StepTimes:
    """A progress object that notes when each step ended."""

    def __init__(self) -> None:
        self.at: list[float] = []

    def start(self, stage: str, total: int, unit: str = "steps") -> None:
        pass

    def update(self, done: int, **figures: float) -> None:
        self.at.append(time.perf_counter())

    def end(self, summary: str = "") -> None:
        pass


def run_ours(ids: np.ndarray, vocab: int, args: argparse.Namespace, muon: bool) -> float:
    """Median milliseconds of a step of ours."""
    torch.manual_seed(0)
    config = ModelConfig(
        vocab_size=vocab,
        max_tokens=args.context,
        d_model=D_MODEL,
        n_layers=LAYERS,
        attention=AttentionConfig(n_heads=HEADS),
    )
    train = TrainConfig(
        steps=args.steps,
        batch_rows=args.batch,
        row_tokens=args.context,
        muon_lr=0.02 if muon else 0.0,
        log_every=1,
    )
    loader = RowLoader(stream(ids, args.context), args.batch, seed=0)
    watch = StepTimes()
    Trainer(Pretrain(Transformer(config)), loader, train, stage="bench", progress=watch).train()
    gaps = [1000 * (b - a) for a, b in zip(watch.at, watch.at[1:], strict=False)]
    return statistics.median(gaps[10:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--peer", type=Path, required=True, help="a nanoGPT checkout")
    parser.add_argument("--data", type=Path, help="a text; default $GLASSMIND_DATA/text/...")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--context", type=int, default=192)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    default = Path(os.environ.get("GLASSMIND_DATA", ".")) / "text" / "tinyshakespeare.txt"
    text = (args.data or default).read_text("utf-8")
    vocab = peer_data(args.peer, "glassmind_bench", text)
    ids = np.fromfile(args.peer / "data/glassmind_bench/train.bin", np.uint16).astype(np.int32)
    jobs = {
        "nanoGPT eager": lambda: run_peer(args.peer, "glassmind_bench", args, compiled=False),
        "nanoGPT compiled": lambda: run_peer(args.peer, "glassmind_bench", args, compiled=True),
        "glassmind AdamW": lambda: run_ours(ids, vocab, args, muon=False),
        "glassmind Muon": lambda: run_ours(ids, vocab, args, muon=True),
    }
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(args.repeats):
        for name, job in jobs.items():
            times[name].append(job())
    tokens = args.batch * args.context
    medians = {name: statistics.median(values) for name, values in times.items()}
    print(f"{'':18}{'ms a step':>10}{'tokens/s':>12}   all runs (ms)")
    for name, ms in medians.items():
        runs = ", ".join(f"{v:.1f}" for v in times[name])
        print(f"{name:18}{ms:>10.1f}{1000 * tokens / ms:>12,.0f}   {runs}")
    best = min(medians["nanoGPT eager"], medians["nanoGPT compiled"])
    result = {
        "benchmark": "train_throughput",
        "batch": args.batch,
        "context": args.context,
        "threads": args.threads,
        "ms": {name: round(ms, 2) for name, ms in medians.items()},
        "ratio_adamw": round(best / medians["glassmind AdamW"], 3),
        "ratio_muon": round(best / medians["glassmind Muon"], 3),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
