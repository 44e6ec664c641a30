"""The cost of inspecting a training step; a run without inspection must cost nothing more.

    python benchmarks/inspection_cost.py

Trains the demo's model on random tokens three times from one seed, with compiled blocks if the
machine supports it: without an inspector, with an inspector that is switched off, and inspecting
every tenth step. Compares the final weights bit by bit, times inspected and other steps separately,
and reports the size of Muon's and AdamW's updates relative to the weights at the highest learning
rate. Prints a table, then one JSON line.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from glassmind.data.batches.loader import RowLoader
from glassmind.data.batches.packing import stream
from glassmind.model import Block, Transformer
from glassmind.runs.recipe import read_recipe
from glassmind.train import Pretrain, choose_precision, to_batch
from glassmind.train.optimizers.muon import Muon
from glassmind.train.watching.inspection import Inspector

EVERY = 10


def run(steps: int, every: int | None) -> tuple[dict[str, Tensor], dict[bool, list[float]], list]:
    """The weights, the seconds of steps by whether they were inspected, and the records."""
    recipe = read_recipe("demo")
    torch.manual_seed(0)
    model = Transformer(replace(recipe.model, vocab_size=1024))
    choice = choose_precision("cpu")
    if choice.compile:
        for block in model.modules():
            if isinstance(block, Block):
                block.compile(dynamic=False)
    objective = Pretrain(model)
    # Skewed like word frequencies, so that there is something to learn.
    draws = torch.rand(400_000, generator=torch.Generator().manual_seed(0))
    ids = (1024 ** draws.double()).int().clamp(max=1023).numpy()
    loader = RowLoader(stream(ids, recipe.train.row_tokens), recipe.train.batch_rows, 0)
    inspector = None if every is None else Inspector(objective, every, steps)
    matrices = [p for n, p in model.named_parameters() if "blocks." in n and p.dim() > 1]
    others = [p for p in model.parameters() if all(p is not m for m in matrices)]
    muon = Muon(matrices, lr=recipe.train.muon_lr)
    adamw = torch.optim.AdamW(others, lr=recipe.train.adamw_lr, weight_decay=0.0, fused=True)
    seconds: dict[bool, list[float]] = {True: [], False: []}
    seen = []
    dtype = choice.autocast_dtype or torch.bfloat16

    def autocast() -> torch.autocast:
        return torch.autocast("cpu", dtype, enabled=choice.autocast_dtype is not None)

    for step in range(1, steps + 1):
        batch = to_batch(loader.next(), torch.device("cpu"))
        started = time.perf_counter()
        watched = inspector is not None and inspector.due(step)
        if inspector is not None and watched:
            inspector.look(partial(objective.loss, batch), autocast())
        with autocast():
            loss, _ = objective.loss(batch)
        loss.backward()
        if inspector is not None and watched:
            inspector.before_step()
        nn.utils.clip_grad_norm_(model.parameters(), recipe.train.clip)
        for optimizer in (muon, adamw):
            optimizer.step()
            optimizer.zero_grad()
        if inspector is not None and watched:
            seen.append(inspector.after_step(loss))
        if step > 1:  # the first one compiles
            seconds[watched].append(time.perf_counter() - started)
    return model.state_dict(), seconds, seen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--steps", type=int, default=60)
    args = parser.parse_args()
    weights, times, _ = run(args.steps, None)
    off, off_times, _ = run(args.steps, 0)
    on, on_times, seen = run(args.steps, EVERY)
    same_off = all(torch.equal(weights[n], off[n]) for n in weights)
    same_on = all(torch.equal(weights[n], on[n]) for n in weights)
    plain, switched_off, beside, looked = (
        1000 * statistics.median(t)
        for t in (times[False], off_times[False], on_times[False], on_times[True])
    )
    updates: dict[str, list[float]] = {"muon": [], "adamw": []}
    for figures in seen[1:]:
        for name, ratio in figures["updates"].items():
            if ratio is not None:
                updates["muon" if "blocks." in name else "adamw"].append(ratio)
    typical = {name: statistics.median(values) for name, values in updates.items()}
    print(f"median step: {plain:.1f} ms without, {switched_off:.1f} ms switched off")
    print(f"looking every {EVERY}: {looked:.1f} ms looked at, {beside:.1f} ms the others")
    print(f"weights identical: {same_off} switched off, {same_on} looking")
    print(f"typical update / weight: Muon {typical['muon']:.2g}, AdamW {typical['adamw']:.2g}")
    result = {
        "benchmark": "inspection_cost",
        "steps": args.steps,
        "off_ratio": round(switched_off / plain, 3),
        "looked_ratio": round(looked / plain, 3),
        "same_bits_off": same_off,
        "same_bits_on": same_on,
        "muon_update": typical["muon"],
        "adamw_update": typical["adamw"],
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
