"""Training speed and memory compared with nanoGPT's train.py: same shape, batch and context.

    python benchmarks/train_throughput.py --peer PATH/TO/nanoGPT

The shape is nanoGPT's own Shakespeare-character configuration for CPUs (its README: 4 layers, 4
heads, d_model 128, 12 rows of 64 characters). Both sides train on the same text with AdamW, one
after the other and several times in turn, each in a process of its own and on the same threads.
Ours runs at its own default precision and compile choice; the peer once eager and once compiled,
and the ratio is against the faster of the two. Ours with Muon, its default optimizer, is printed
too, and ours in float32 where that is not the default.

Speed is the median time of a step after the first ten. Memory is the highest resident size minus
that after ``import torch``.
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

D_MODEL, LAYERS, HEADS = 128, 4, 4
WARM = 10  # steps before the measurement

# Runs a script as __main__ and says what memory it took above the import of torch.
PEER = """
import resource, runpy, sys
import torch
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
sys.argv = sys.argv[1:]
sys.path.insert(0, ".")
runpy.run_path(sys.argv[0], run_name="__main__")
print("PEAK", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


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


def run_peer(args: argparse.Namespace, compiled: bool) -> tuple[float, float]:
    """Median milliseconds of a step of the peer, and its memory in MB."""
    with tempfile.TemporaryDirectory() as out:
        command = [
            sys.executable, "-c", PEER, "train.py", f"--out_dir={out}", f"--dataset={NAME}",
            "--device=cpu", f"--compile={compiled}", "--eval_interval=100000", "--eval_iters=1",
            "--log_interval=1", f"--block_size={args.context}", f"--batch_size={args.batch}",
            f"--n_layer={LAYERS}", f"--n_head={HEADS}", f"--n_embd={D_MODEL}",
            f"--max_iters={args.steps}", "--lr_decay_iters=2000", "--dropout=0.0",
            "--gradient_accumulation_steps=1", "--dtype=float32",
            "--always_save_checkpoint=False",
        ]  # fmt: skip
        environment = os.environ | {"OMP_NUM_THREADS": str(args.threads)}
        done = subprocess.run(
            command, cwd=args.peer, env=environment, capture_output=True, text=True, check=True
        )
    times = [float(ms) for ms in re.findall(r"time ([\d.]+)ms", done.stdout)]
    (peak,) = re.findall(r"PEAK (\d+)", done.stdout)
    return statistics.median(times[WARM:]), int(peak) / 1024


NAME = "glassmind_bench"


class StepTimes:
    """A progress object that records when each step ended."""

    def __init__(self) -> None:
        self.at: list[float] = []

    def start(self, stage: str, total: int, unit: str = "steps") -> None:
        pass

    def update(self, done: int, **figures: float) -> None:
        self.at.append(time.perf_counter())

    def end(self, summary: str = "") -> None:
        pass


def ours(args: argparse.Namespace) -> None:
    """The measured process of our side."""
    import resource

    import torch

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    from glassmind.data.batches.loader import RowLoader
    from glassmind.data.batches.packing import stream
    from glassmind.model import AttentionConfig, ModelConfig, Transformer
    from glassmind.runs.recipe import TrainConfig
    from glassmind.train import Pretrain, Trainer

    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    ids = np.fromfile(args.peer / "data" / NAME / "train.bin", np.uint16).astype(np.int32)
    config = ModelConfig(
        vocab_size=int(ids.max()) + 1,
        max_tokens=args.context,
        d_model=D_MODEL,
        n_layers=LAYERS,
        attention=AttentionConfig(n_heads=HEADS),
    )
    train = TrainConfig(
        steps=args.steps,
        batch_rows=args.batch,
        row_tokens=args.context,
        muon_lr=0.02 if args.side == "muon" else 0.0,
        precision="float32" if args.side == "float32" else "auto",
        log_every=1,
    )
    loader = RowLoader(stream(ids, args.context), args.batch, seed=0)
    watch = StepTimes()
    Trainer(Pretrain(Transformer(config)), loader, train, stage="bench", progress=watch).train()
    gaps = [1000 * (b - a) for a, b in zip(watch.at, watch.at[1:], strict=False)]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(json.dumps([statistics.median(gaps[WARM:]), peak / 1024]))


def run_ours(args: argparse.Namespace, side: str) -> tuple[float, float]:
    command = [sys.executable, __file__, *sys.argv[1:], "--side", side]
    environment = os.environ | {"OMP_NUM_THREADS": str(args.threads)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    ms, memory = json.loads(done.stdout.splitlines()[-1])
    return ms, memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--peer", type=Path, required=True, help="a nanoGPT checkout")
    parser.add_argument("--data", type=Path, help="a text; default $GLASSMIND_DATA/text/...")
    parser.add_argument("--batch", type=int, default=12)
    parser.add_argument("--context", type=int, default=64)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--side", choices=["adamw", "muon", "float32"], help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.side:
        return ours(args)
    default = Path(os.environ.get("GLASSMIND_DATA", ".")) / "text" / "tinyshakespeare.txt"
    peer_data(args.peer, NAME, (args.data or default).read_text("utf-8"))
    from glassmind.train import choose_precision

    jobs = {
        "nanoGPT eager": lambda: run_peer(args, compiled=False),
        "nanoGPT compiled": lambda: run_peer(args, compiled=True),
        "glassmind AdamW": lambda: run_ours(args, "adamw"),
        "glassmind Muon": lambda: run_ours(args, "muon"),
    }
    if choose_precision().autocast_dtype is not None:
        jobs["glassmind AdamW, float32"] = lambda: run_ours(args, "float32")
    results: dict[str, list[tuple[float, float]]] = {name: [] for name in jobs}
    for _ in range(args.repeats):
        for name, job in jobs.items():
            results[name].append(job())
    tokens = args.batch * args.context
    ms = {name: statistics.median(r[0] for r in runs) for name, runs in results.items()}
    memory = {name: statistics.median(r[1] for r in runs) for name, runs in results.items()}
    print(f"{'':26}{'ms a step':>10}{'tokens/s':>10}{'MB':>7}   all runs (ms)")
    for name in jobs:
        runs = ", ".join(f"{r[0]:.1f}" for r in results[name])
        speed = 1000 * tokens / ms[name]
        print(f"{name:26}{ms[name]:>10.1f}{speed:>10,.0f}{memory[name]:>7.0f}   {runs}")
    best = min(ms["nanoGPT eager"], ms["nanoGPT compiled"])
    least = min(memory["nanoGPT eager"], memory["nanoGPT compiled"])
    ratios = {name: round(best / ms[name], 3) for name in jobs if name.startswith("glass")}
    result = {
        "benchmark": "train_throughput",
        "batch": args.batch,
        "context": args.context,
        "threads": args.threads,
        "ms": {name: round(value, 2) for name, value in ms.items()},
        "memory_mb": {name: round(value) for name, value in memory.items()},
        "speed_ratio": ratios,
        "memory_ratio": round(memory["glassmind AdamW"] / least, 3),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
