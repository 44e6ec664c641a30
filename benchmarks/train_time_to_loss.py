"""Seconds until validation loss 1.88 on the characters of Shakespeare: ours against nanoGPT's.

    python benchmarks/train_time_to_loss.py --peer PATH/TO/nanoGPT [--seeds 3]

The peer runs its published configuration for CPUs as it stands in its README (2,000 steps of 12
rows of 64 characters, 4 layers, d_model 128; it names 1.88 as the loss to expect), once eager and
once compiled. Ours uses its own recipe for a small budget: 3 layers, d_model 96, Muon at 0.02 and
AdamW at 0.01, and 500 steps of the same 12 rows of 64. The learning rate warms up, stays constant,
and falls over the second half.

Time is measured from the start of each process and includes imports, compilation and validation.
Ours is validated on 240 windows of 64 characters, spread over the same tenth of the text from which
the peer draws its 240 random windows, so the two losses are comparable.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from train_throughput import NAME, peer_data

from glassmind.statistics import t_quantile

GOAL = 1.88
ROWS, TOKENS = 12, 64


def watched(command: list[str], pattern: str, **options: object) -> list[tuple[float, float]]:
    """Seconds since the start and loss, for each line of a process that matches."""
    began = time.perf_counter()
    seen = []
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options)  # type: ignore[call-overload]
    for line in process.stdout:
        if match := re.search(pattern, line):
            seen.append((time.perf_counter() - began, float(match[1])))
    if process.wait():
        sys.exit(f"{command[:4]} failed")
    return seen


def run_peer(args: argparse.Namespace, compiled: bool) -> list[tuple[float, float]]:
    with tempfile.TemporaryDirectory() as out:
        command = [
            sys.executable, "-u", "train.py", "config/train_shakespeare_char.py",
            f"--out_dir={out}", f"--dataset={NAME}", "--device=cpu", f"--compile={compiled}",
            "--eval_iters=20", "--log_interval=100", f"--block_size={TOKENS}",
            f"--batch_size={ROWS}", "--n_layer=4", "--n_head=4", "--n_embd=128",
            "--max_iters=2000", "--lr_decay_iters=2000", "--dropout=0.0", "--dtype=float32",
        ]  # fmt: skip
        environment = os.environ | {"OMP_NUM_THREADS": str(args.threads)}
        return watched(command, r"val loss ([\d.]+)", cwd=args.peer, env=environment)


def run_ours(args: argparse.Namespace, seed: int) -> list[tuple[float, float]]:
    command = [sys.executable, "-u", __file__, *sys.argv[1:], "--side", str(seed)]
    environment = os.environ | {"OMP_NUM_THREADS": str(args.threads)}
    return watched(command, r"val loss ([\d.]+)", env=environment)


def ours(args: argparse.Namespace) -> None:
    """The measured process of our side."""
    import torch

    from glassmind.data.batches.loader import RowLoader
    from glassmind.data.batches.packing import stream
    from glassmind.model import AttentionConfig, ModelConfig, Transformer
    from glassmind.runs.recipe import TrainConfig
    from glassmind.train import Pretrain, Trainer, validation_loss

    torch.set_num_threads(args.threads)
    torch.manual_seed(args.side)
    folder = args.peer / "data" / NAME
    ids, held = (
        np.fromfile(folder / f"{part}.bin", np.uint16).astype(np.int32) for part in ("train", "val")
    )
    windows = stream(held, TOKENS)
    windows = windows.take(np.linspace(0, len(windows) - 1, 20 * ROWS).astype(np.int64))
    model = ModelConfig(
        vocab_size=int(ids.max()) + 1,
        max_tokens=TOKENS,
        d_model=96,
        n_layers=3,
        attention=AttentionConfig(n_heads=3),
    )
    config = TrainConfig(
        steps=500, batch_rows=ROWS, row_tokens=TOKENS, adamw_lr=0.01, validate_every=50
    )
    objective = Pretrain(Transformer(model))

    def validate() -> float:
        loss = validation_loss(objective, windows, torch.device("cpu"))
        print(f"val loss {loss:.4f}", flush=True)
        return loss

    loader = RowLoader(stream(ids, TOKENS), ROWS, seed=args.side)
    Trainer(objective, loader, config, stage="bench", validate=validate).train()


def reached(seen: list[tuple[float, float]]) -> float | None:
    return next((seconds for seconds, loss in seen if loss <= GOAL), None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--peer", type=Path, required=True, help="a nanoGPT checkout")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--side", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.side is not None:
        return ours(args)
    data = Path(os.environ.get("GLASSMIND_DATA", ".")) / "text" / "tinyshakespeare.txt"
    peer_data(args.peer, NAME, data.read_text("utf-8"))
    curves = {
        "nanoGPT eager": run_peer(args, compiled=False),
        "nanoGPT compiled": run_peer(args, compiled=True),
    }
    for seed in range(args.seeds):
        curves[f"glassmind, seed {seed}"] = run_ours(args, seed)
    print(f"{'':22}{'until 1.88':>12}{'at the end':>12}{'loss there':>12}")
    for name, seen in curves.items():
        at = reached(seen)
        first = "never" if at is None else f"{at:.1f} s"
        print(f"{name:22}{first:>12}{seen[-1][0]:>10.1f} s{seen[-1][1]:>12.4f}")
    # For a peer that ends just above the goal, the time of its last step counts.
    peer = min(reached(c) or c[-1][0] for name, c in curves.items() if name.startswith("nano"))
    times = [reached(c) for name, c in curves.items() if name.startswith("glass")]
    result: dict[str, object] = {
        "benchmark": "train_time_to_loss",
        "goal": GOAL,
        "seeds": args.seeds,
    }
    result["peer_seconds"] = round(peer, 1)
    result["peer_final_loss"] = {n: c[-1][1] for n, c in curves.items() if n.startswith("nano")}
    result["seconds"] = [None if t is None else round(t, 1) for t in times]
    result["final_loss"] = [c[-1][1] for n, c in curves.items() if n.startswith("glass")]
    if all(t is not None for t in times):
        known = [t for t in times if t is not None]
        mean = statistics.fmean(known)
        result["ratio"] = round(mean / peer, 3)
        if len(known) > 1:
            half = t_quantile(0.975, len(known) - 1) * statistics.stdev(known) / len(known) ** 0.5
            result["ratio_interval"] = [round((mean + s * half) / peer, 3) for s in (-1, 1)]
    print(json.dumps(result))


if __name__ == "__main__":
    main()
