"""What a busy process beside it costs: training and sampling with several settings of OpenMP.

    python benchmarks/under_load.py
    python benchmarks/under_load.py --rounds 9 --arms default passive

Every arm is a process with its own environment that trains the demo's model and samples from the
shipped one. In each round, every arm works for a moment alone and for a moment beside a process
that only counts, one right after the other, so that what else the machine does meets all alike.
``others`` is how many cores were busy with something else meanwhile (the counting process left
out): pairs above ``--quiet`` are left out of the medians as long as three quieter ones remain.
Prints a table, then one JSON line.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

ARMS: dict[str, dict[str, str]] = {
    "default": {},
    "passive": {"OMP_WAIT_POLICY": "passive"},
    "spin 1,000": {"GOMP_SPINCOUNT": "1000"},
    "spin 10,000": {"GOMP_SPINCOUNT": "10000"},
    "one thread": {"OMP_NUM_THREADS": "1"},
}
JOBS = ("training", "sampling")


@dataclass(frozen=True)
class Pair:
    """Work done in a second alone and beside the busy process; the most ``others`` of the two."""

    alone: float
    beside: float
    others: float


# ------------------------------------------------------------------------ in a worker's process


def training() -> Callable[[], None]:
    """A step of the demo's training, compiled, in float32."""
    from glassmind.data.batches.loader import RowLoader
    from glassmind.model import Transformer
    from glassmind.pipeline.time_budget import made_up_rows
    from glassmind.runs.recipe import read_recipe
    from glassmind.train import SupervisedFineTuning, Trainer

    recipe = read_recipe("demo")
    config = replace(recipe.train, precision="float32", compile="on")
    vocabulary = recipe.tokenizer.vocab_size
    model = Transformer(replace(recipe.model, vocab_size=vocabulary))
    loader = RowLoader(made_up_rows(recipe, vocabulary), config.batch_rows, seed=0)
    trainer = Trainer(SupervisedFineTuning(model), loader, config, stage="benchmark")
    return lambda: void(trainer.take_step())


def sampling() -> Callable[[], None]:
    """64 chains of 40 tokens from the shipped model."""
    from glassmind.generate import Engine, Request, SamplingParams
    from glassmind.runs.models import load

    model = load().model
    params = SamplingParams(40, samples=4)
    requests = [
        Request(tuple(range(20, 60 + n)), replace(params, seed=n)) for n in range(16)
    ]  # fmt: skip
    engine = Engine(model, max_rows=64)
    return lambda: void(engine.generate(requests))


def void(_: object) -> None:
    """A result that nobody needs."""


def work() -> None:
    """Read "JOB SECONDS" from standard input; answer how often it was done in a second, and how
    many cores others kept busy."""
    from glassmind.machine import OtherWork

    jobs = {"training": training(), "sampling": sampling()}
    for job in jobs.values():
        for _ in range(3):
            job()
    print("ready", flush=True)
    for line in sys.stdin:
        name, seconds = line.split()
        others, started, done = OtherWork(), time.perf_counter(), 0
        while time.perf_counter() - started < float(seconds):
            jobs[name]()
            done += 1
        rate = done / (time.perf_counter() - started)
        print(json.dumps([rate, others.since()]), flush=True)


# ------------------------------------------------------------------------------ the comparison


class Worker:
    """One arm's process."""

    def __init__(self, environment: dict[str, str], stack: ExitStack) -> None:
        plain = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "GOMP_"))}
        command = [sys.executable, __file__, "--work"]
        self.process = stack.enter_context(
            subprocess.Popen(
                command,
                env=plain | environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        stack.callback(self.process.kill)
        if self._answer() != "ready":
            raise SystemExit("a worker did not start")

    def _answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def rate(self, job: str, seconds: float) -> tuple[float, float]:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{job} {seconds}\n")
        self.process.stdin.flush()
        rate, others = json.loads(self._answer())
        return rate, 0.0 if others is None else others


@contextmanager
def busy() -> Iterator[None]:
    """Another process that never rests, while the block runs."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        try:
            yield
        finally:
            process.kill()


def pair(worker: Worker, job: str, seconds: float) -> Pair:
    alone, others = worker.rate(job, seconds)
    with busy():
        beside, more = worker.rate(job, seconds)
    return Pair(alone, beside, max(others, more - 1.0))


def quiet(pairs: list[Pair], limit: float) -> list[Pair]:
    """The pairs that others did not disturb, at least the three least disturbed ones."""
    ordered = sorted(pairs, key=lambda found: found.others)
    calm = [found for found in ordered if found.others <= limit]
    return calm if len(calm) >= 3 else ordered[:3]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each half of a pair")
    parser.add_argument("--quiet", type=float, default=0.3, metavar="CORES")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.work:
        work()
        return
    found: dict[tuple[str, str], list[Pair]] = {}
    with ExitStack() as stack:
        workers = {arm: Worker(ARMS[arm], stack) for arm in args.arms}
        for number in range(args.rounds):
            for job in JOBS:
                for arm, worker in workers.items():
                    measured = pair(worker, job, args.seconds)
                    found.setdefault((job, arm), []).append(measured)
                    print(f"round {number} {job} {arm}: {measured}", file=sys.stderr, flush=True)
    print(f"{'':10s}{'':14s}{'alone':>9s}{'beside':>9s}{'share':>7s}{'others':>8s}{'pairs':>6s}")
    rows = []
    for (job, arm), pairs in found.items():
        calm = quiet(pairs, args.quiet)
        row = {
            "job": job,
            "arm": arm,
            "alone": statistics.median(p.alone for p in calm),
            "beside": statistics.median(p.beside for p in calm),
            "share": statistics.median(p.beside / p.alone for p in calm),
            "others": statistics.median(p.others for p in calm),
            "pairs": len(calm),
        }
        rows.append({k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()})
        print(
            f"{job:10s}{arm:14s}{row['alone']:9.2f}{row['beside']:9.2f}{row['share']:7.0%}"
            f"{row['others']:8.2f}{len(calm):6d}"
        )
    print(json.dumps({"benchmark": "under_load", "cores": os.cpu_count(), "rows": rows}))


if __name__ == "__main__":
    main()
