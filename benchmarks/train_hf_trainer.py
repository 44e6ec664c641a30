"""Training speed and memory compared with Hugging Face's Trainer, on Llama-style models.

    python benchmarks/train_hf_trainer.py [--sizes 10 30] [--precision float32]

Both sides train the same architecture from the same shape of data: a Llama of about 10 and 30
million parameters (RoPE, RMSNorm, SwiGLU, no biases, vocabulary 8,192, tied), packed rows of 512
tokens of the same random ids, AdamW with clipping, each in a process of its own, in turn and
several times. The peer runs eager and with ``torch_compile=True``; the ratio is against the faster.

Also printed: model FLOPs utilisation, which is the model's operations per second (6 for every
weight that multiplies, plus attention) divided by the highest rate that this machine reaches on
large matrix products in that precision; and memory, the highest resident size minus that after
``import torch``.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from typing import Any

import numpy as np
import torch

AFTER_IMPORT = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
SHAPES = {10: (320, 6, 5), 30: (512, 8, 8)}  # d_model, layers, heads
VOCAB, TOKENS = 8192, 512
WARM = 2  # steps before the measurement


def peak_flops(dtype: torch.dtype) -> float:
    """FLOP/s on the best of some large square matrix products."""
    best = 0.0
    for n in (1024, 2048):
        a, b = torch.randn(n, n, dtype=dtype), torch.randn(n, n, dtype=dtype)
        a @ b
        for _ in range(4):
            began = time.perf_counter()
            a @ b
            best = max(best, 2 * n**3 / (time.perf_counter() - began))
    return best


def hidden_width(d_model: int) -> int:
    """Of SwiGLU: 8/3 d_model, in steps of 64."""
    return (8 * d_model // 3 + 63) // 64 * 64


def random_rows(n_rows: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, VOCAB, (n_rows, TOKENS)).astype(np.int32)


def measured(times: list[float], n_parameters: int) -> None:
    gaps = [b - a for a, b in pairwise(times)]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - AFTER_IMPORT
    print(json.dumps([statistics.median(gaps[WARM:]), peak / 1024, n_parameters]))


def ours(args: argparse.Namespace) -> None:
    from glassmind.data.batches.loader import RowLoader
    from glassmind.data.batches.packing import stream
    from glassmind.model import AttentionConfig, FeedForwardConfig, ModelConfig, Transformer
    from glassmind.progress import Silent
    from glassmind.runs.recipe import TrainConfig
    from glassmind.train import Pretrain, Trainer

    times: list[float] = []

    class Watch(Silent):
        def update(self, done: int, **figures: float) -> None:
            times.append(time.perf_counter())

    d_model, layers, heads = SHAPES[args.size]
    torch.manual_seed(0)
    model = Transformer(
        ModelConfig(
            vocab_size=VOCAB,
            max_tokens=TOKENS,
            d_model=d_model,
            n_layers=layers,
            attention=AttentionConfig(n_heads=heads, qk_norm=False),
            feed_forward=FeedForwardConfig("swiglu", d_hidden=hidden_width(d_model)),
        )
    )
    config = TrainConfig(
        steps=args.steps,
        batch_rows=args.batch,
        row_tokens=TOKENS,
        muon_lr=0.02 if args.side == "muon" else 0.0,
        precision=args.precision,
        recompute=args.side == "recompute",
        log_every=1,
    )
    loader = RowLoader(stream(random_rows(64).reshape(-1), TOKENS), args.batch, seed=0)
    Trainer(Pretrain(model), loader, config, stage="bench", progress=Watch()).train()
    measured(times, sum(p.numel() for p in model.parameters()))


def theirs(args: argparse.Namespace) -> None:
    import transformers

    times: list[float] = []

    class Watch(transformers.TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            times.append(time.perf_counter())

    d_model, layers, heads = SHAPES[args.size]
    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=VOCAB,
            hidden_size=d_model,
            intermediate_size=hidden_width(d_model),
            num_hidden_layers=layers,
            num_attention_heads=heads,
            max_position_embeddings=TOKENS,
            tie_word_embeddings=True,
        )
    )
    rows = [{"input_ids": row, "labels": row} for row in torch.from_numpy(random_rows(64)).long()]
    with tempfile.TemporaryDirectory() as folder:
        arguments = transformers.TrainingArguments(
            folder,
            per_device_train_batch_size=args.batch,
            max_steps=args.steps,
            learning_rate=3e-4,
            use_cpu=True,
            bf16=args.precision == "bfloat16",
            torch_compile=args.side == "peer-compiled",
            save_strategy="no",
            report_to=[],
            logging_steps=1,
            disable_tqdm=True,
        )
        transformers.Trainer(model, arguments, train_dataset=rows, callbacks=[Watch()]).train()
    measured(times, sum(p.numel() for p in model.parameters()))


SIDES = {
    "Trainer eager": "peer-eager",
    "Trainer compiled": "peer-compiled",
    "glassmind AdamW": "adamw",
    "glassmind Muon": "muon",
    "glassmind recompute": "recompute",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 30], choices=list(SHAPES))
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", default="auto", choices=["auto", "float32", "bfloat16"])
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--size", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.precision == "auto":
        from glassmind.train import choose_precision

        bf16 = choose_precision().autocast_dtype is not None
        args.precision = "bfloat16" if bf16 else "float32"
    if args.side:
        return theirs(args) if args.side.startswith("peer") else ours(args)
    dtype = getattr(torch, args.precision)
    environment = os.environ | {"OMP_NUM_THREADS": str(args.threads)}
    result: dict[str, Any] = {"benchmark": "train_hf_trainer", "precision": args.precision}
    peaks = [peak_flops(dtype)]
    for size in args.sizes:
        runs: dict[str, list[list[float]]] = {name: [] for name in SIDES}
        for _ in range(args.repeats):
            for name, side in SIDES.items():
                command = [
                    sys.executable, __file__, "--side", side, "--size", str(size),
                    "--batch", str(args.batch), "--steps", str(args.steps),
                    "--precision", args.precision, "--threads", str(args.threads),
                ]  # fmt: skip
                done = subprocess.run(
                    command, env=environment, stdout=subprocess.PIPE, text=True, check=True
                )
                runs[name].append(json.loads(done.stdout.splitlines()[-1]))
            peaks.append(peak_flops(dtype))
        d_model, layers, _ = SHAPES[size]
        n_parameters = int(runs["glassmind AdamW"][0][2])
        # Every weight multiplies once forward and twice backward (the tied output layer is in the
        # count once, as the embedding costs nothing); causal attention: half of T keys a token.
        flops = 6 * n_parameters + 6 * layers * d_model * TOKENS
        tokens = args.batch * TOKENS
        seconds = {name: statistics.median(r[0] for r in told) for name, told in runs.items()}
        memory = {name: statistics.median(r[1] for r in told) for name, told in runs.items()}
        about = f"{n_parameters / 1e6:.1f} M parameters, {args.batch} x {TOKENS}"
        print(f"\n{about}, {args.precision}, peak {max(peaks) / 1e9:.0f} GFLOP/s")
        print(f"{'':22}{'s a step':>9}{'tokens/s':>10}{'MFU':>7}{'MB':>7}")
        mfu = {name: flops * tokens / s / max(peaks) for name, s in seconds.items()}
        for name, s in seconds.items():
            print(f"{name:22}{s:>9.2f}{tokens / s:>10,.0f}{mfu[name]:>7.0%}{memory[name]:>7.0f}")
        peer = [name for name in SIDES if name.startswith("Trainer")]
        result[f"{size}M"] = {
            "parameters": n_parameters,
            "seconds": {name: round(s, 4) for name, s in seconds.items()},
            "speed_ratio": round(min(seconds[p] for p in peer) / seconds["glassmind AdamW"], 3),
            "mfu": {name: round(share, 3) for name, share in mfu.items()},
            "memory_mb": {name: round(mb) for name, mb in memory.items()},
            "memory_ratio": round(memory["glassmind AdamW"] / min(memory[p] for p in peer), 3),
        }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
