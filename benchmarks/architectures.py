"""Compare architectures on the same data with the same compute, over several seeds.

    python benchmarks/architectures.py --folder runs/architectures --jobs 2
    python benchmarks/architectures.py --folder runs/architectures --write docs/architectures.json

One small model (the recipe ``architectures``) is changed in one respect at a time: positions,
norms, the place of the norms, the activation, attention, experts. Every arm of a seed gets the same
batches of books in the same order, and the same number of floating-point operations, which decides
its number of steps. This budget is what the base model computes in ``--seconds``; it is measured
once and then stored in the folder. Learning rates are those of the recipe, for all arms.

Measured on books that were not trained on: bits per byte at the trained length; the same text in
rows of two and four times that length, which the model never saw while training; and each quarter
of the longest rows separately. Differences to the base are paired by seed (same data, same order),
with a t-interval over seeds. Of twenty 95 % intervals, about one is expected to be wrong.

Each finished (arm, seed) is a line of ``results.jsonl`` in the folder, so the benchmark can be
interrupted and continued with the same command. Every arm has one thread, and seconds are processor
time, so that tokens/s can be compared even on a busy machine. Prints a table in Markdown, then one
JSON line.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from glassmind.data.batches.loader import RowLoader
from glassmind.data.batches.packing import stream
from glassmind.errors import UserError
from glassmind.files import write_json
from glassmind.model import ModelConfig, Transformer
from glassmind.model.counting import flops_per_token, kv_bytes
from glassmind.pipeline.text_rows import TOKENIZER_CHARACTERS
from glassmind.progress import Silent
from glassmind.runs.folder import commit
from glassmind.runs.overrides import replace_many
from glassmind.runs.recipe import Recipe, read_recipe, recipe_toml
from glassmind.serialization import read_json
from glassmind.statistics import mean_and_interval
from glassmind.tokenize import load, save, train_bpe
from glassmind.tokenize.corpus.documents import read_stretches
from glassmind.train import Pretrain, Trainer

CALIBRATION_STEPS = 40
VALIDATION_ROWS = 96  # of the longest length
STRETCHES = (1, 2, 4)  # rows for validation, in trained lengths


@dataclass(frozen=True)
class Arm:
    """One architecture: ``changes`` to the recipe's model, compared with the arm ``against``."""

    group: str
    name: str
    changes: str = ""
    against: str = "base"

    def config(self, recipe: Recipe) -> ModelConfig:
        pairs = [change.partition("=") for change in self.changes.split()]
        return replace_many(recipe.model, [(key, value) for key, _, value in pairs], self.name)


# Sinusoids have an amplitude of 1, so the embeddings are scaled as in the original.
# Gated networks have three matrices instead of two and get two thirds of the width. The three kinds
# of attention with a small cache hold 48 numbers a token and layer instead of 192. Of 8 experts
# 2 are active, which together are as wide as the dense network they are compared with.
ARMS = (
    Arm("base", "base"),
    Arm("positions", "learned", "positions.kind=learned"),
    Arm("positions", "sinusoidal", "positions.kind=sinusoidal scale_embedding=true"),
    Arm("positions", "alibi", "positions.kind=alibi"),
    Arm("positions", "none", "positions.kind=none"),
    Arm("norm", "layernorm", "norm=layernorm"),
    Arm("norm placement", "after", "norm_placement=after"),
    Arm("norm placement", "around", "norm_placement=around"),
    Arm("norm placement", "residual", "norm_placement=residual final_norm=false"),
    Arm("feed-forward", "relu", "feed_forward.kind=relu"),
    Arm("feed-forward", "gelu", "feed_forward.kind=gelu"),
    Arm("feed-forward", "swiglu", "feed_forward.kind=swiglu feed_forward.d_hidden=256"),
    Arm("feed-forward", "geglu", "feed_forward.kind=geglu feed_forward.d_hidden=256"),
    Arm("attention", "no qk-norm", "attention.qk_norm=false"),
    Arm("attention, cache ÷ 4", "narrow heads", "attention.head_dim=6"),
    Arm("attention, cache ÷ 4", "grouped-query", "attention.n_kv_heads=1"),
    Arm(
        "attention, cache ÷ 4",
        "latent",
        "attention.qk_norm=false attention.latent.kv_rank=32 attention.latent.rope_dim=16 "
        "attention.latent.content_dim=24 attention.latent.value_dim=24",
    ),
    Arm(
        "experts",
        "2 of 8 experts",
        "feed_forward.kind=swiglu feed_forward.d_hidden=256 "
        "experts.n_experts=8 experts.n_active=2 experts.d_hidden=128",
        against="swiglu",
    ),
    Arm(
        "experts",
        "all 8 dense",
        "feed_forward.kind=swiglu feed_forward.d_hidden=1024",
        against="swiglu",
    ),
)


@dataclass(frozen=True)
class Job:
    """One training run, as handed to a process of its own."""

    arm: Arm
    seed: int
    steps: int
    recipe: Recipe
    folder: Path


class StepTimes(Silent):
    """A watcher that records the processor time of this process at the end of each step."""

    def __init__(self) -> None:
        self.at: list[float] = []

    def update(self, done: int, **figures: float) -> None:
        self.at.append(time.process_time())

    def median(self) -> float:
        """Seconds of a step on one thread, however busy the machine is otherwise."""
        return statistics.median(b - a for a, b in zip(self.at, self.at[1:], strict=False))


# ---------------------------------------------------------------------------------- data


def prepare(folder: Path, texts: Path, recipe: Recipe, megabytes: float) -> Recipe:
    """Tokenise both texts once, as ``train.npy``, ``valid.npy``; the recipe, vocabulary known."""
    if not (folder / "valid.npy").is_file():
        text = "".join(read_stretches(texts / "books_train.txt.xz"))[: int(megabytes * 1e6)]
        tokenizer = train_bpe([text[:TOKENIZER_CHARACTERS]], recipe.tokenizer.vocab_size)
        save(tokenizer, folder / "tokenizer.json")
        held_out = "".join(read_stretches(texts / "books_valid.txt.xz"))
        for name, content in (("train", text), ("valid", held_out)):
            ids = np.array(tokenizer.encode(content), np.int32)
            np.save(folder / f"{name}.tmp.npy", ids)
            (folder / f"{name}.tmp.npy").replace(folder / f"{name}.npy")
    vocabulary = load(folder / "tokenizer.json").vocab_size
    return replace(recipe, model=replace(recipe.model, vocab_size=vocabulary))


def validation_rows(folder: Path, row_tokens: int, n_rows: int) -> Tensor:
    """Rows spread evenly over all validation books, (R, T) ids."""
    ids = np.load(folder / "valid.npy")
    rows = torch.from_numpy(ids[: len(ids) // row_tokens * row_tokens]).view(-1, row_tokens)
    return rows[:: max(1, len(rows) // n_rows)][:n_rows].long()


# -------------------------------------------------------------------------------- measuring


def training_flops(config: ModelConfig, row_tokens: int) -> int:
    """Floating-point operations of a step for each token, which on average sees half a row."""
    return 3 * flops_per_token(config, row_tokens // 2)


@torch.inference_mode()
def losses(model: Transformer, rows_RT: Tensor) -> Tensor:
    """Nats of every token after a row's first, (R, T - 1)."""
    found = []
    with torch.compiler.set_stance("force_eager"):  # as in train.validation
        for ids in rows_RT.split(max(1, 8192 // rows_RT.shape[1])):
            logits = model(ids[:, :-1])
            found.append(
                F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
            )
    return torch.cat(found).view(len(rows_RT), -1)


def bits_per_byte(model: Transformer, job: Job) -> dict[str, list[float]]:
    """``by_length``: in rows of 1, 2 and 4 trained lengths; ``by_quarter`` of the longest.

    The same tokens are counted at every length. The first token of each row of the trained length
    is left out, because nothing predicts it there.
    """
    trained = job.recipe.train.row_tokens
    longest = trained * STRETCHES[-1]
    tokenizer = load(job.folder / "tokenizer.json")
    n_bytes = torch.tensor([len(tokenizer.token_bytes(i)) for i in range(tokenizer.vocab_size)])
    rows = validation_rows(job.folder, longest, VALIDATION_ROWS)
    counted = torch.arange(longest) % trained != 0
    sizes_RT = n_bytes[rows] * counted
    by_length = []
    for stretch in STRETCHES:
        cut = rows.reshape(-1, trained * stretch)
        nats_RT = F.pad(losses(model, cut), (1, 0)).reshape(rows.shape) * counted
        by_length.append(float(nats_RT.sum() / sizes_RT.sum() / math.log(2)))
    quarters = (nats_RT.view(len(rows), -1, trained), sizes_RT.view(len(rows), -1, trained))
    nats, sizes = (part.sum(dim=(0, 2)) for part in quarters)
    return {"by_length": by_length, "by_quarter": (nats / sizes / math.log(2)).tolist()}


def train(job: Job) -> tuple[Transformer, StepTimes]:
    torch.set_num_threads(1)
    torch.manual_seed(job.seed)
    config = replace(job.recipe.train, steps=job.steps, log_every=1)
    rows = stream(np.load(job.folder / "train.npy"), config.row_tokens)
    model = Transformer(job.arm.config(job.recipe))
    times = StepTimes()
    loader = RowLoader(rows, config.batch_rows, job.seed)
    Trainer(Pretrain(model), loader, config, stage=job.arm.name, progress=times).train()
    return model.eval(), times


def seconds_per_step(job: Job) -> float:
    return train(job)[1].median()


def run(job: Job) -> dict[str, Any]:
    """One line of ``results.jsonl``."""
    started = time.perf_counter()
    model, times = train(job)
    trained = time.perf_counter()
    tokens = job.recipe.train.batch_rows * job.recipe.train.row_tokens
    return {
        "arm": job.arm.name,
        "changes": job.arm.changes,
        "seed": job.seed,
        "steps": job.steps,
        "parameters": sum(p.numel() for p in model.parameters()),
        "tokens_per_second": round(tokens / times.median()),
        "seconds": round(trained - started, 1),
        **bits_per_byte(model, job),
    }


# --------------------------------------------------------------------------------- running


def make_plan(folder: Path, recipe: Recipe, args: argparse.Namespace) -> dict[str, Any]:
    """The compute budget of every arm: measured once, with as many processes as later run."""
    path, identity = folder / "plan.json", recipe_toml(recipe)
    if path.is_file():
        plan: dict[str, Any] = read_json(path)
        if (plan["recipe"], plan["seconds"]) != (identity, args.seconds):
            sys.exit(f"{path} is of another recipe or --seconds: take another --folder")
        return plan
    job = Job(ARMS[0], 0, CALIBRATION_STEPS, recipe, folder)
    with workers(args.jobs) as pool:
        step = statistics.mean(pool.map(seconds_per_step, [job] * args.jobs))
    tokens = recipe.train.row_tokens
    flops = {arm.name: training_flops(arm.config(recipe), tokens) for arm in ARMS}
    steps = {name: round(args.seconds / step * flops["base"] / flops[name]) for name in flops}
    plan = {
        "recipe": identity,
        "seconds": args.seconds,
        "flops_per_token": flops,
        "steps": {name: max(1, n) for name, n in steps.items()},
    }
    write_json(path, plan)
    return plan


def workers(n: int) -> ProcessPoolExecutor:
    """A new process for every job, with a fresh compiler and its own peak memory."""
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(n, mp_context=context, max_tasks_per_child=1)


def finished(path: Path) -> dict[tuple[str, str, int], dict[str, Any]]:
    """Results so far by (arm, changes, seed); a line that a crash cut short is ignored."""
    found = {}
    for line in path.read_text("utf-8").splitlines() if path.is_file() else []:
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        found[row["arm"], row["changes"], row["seed"]] = row
    return found


def run_all(folder: Path, recipe: Recipe, plan: dict[str, Any], args: argparse.Namespace) -> None:
    results = folder / "results.jsonl"
    done = finished(results)
    wanted = [(arm, seed) for seed in args.seeds for arm in ARMS]
    missing = [
        Job(arm, seed, plan["steps"][arm.name], recipe, folder)
        for arm, seed in wanted
        if (arm.name, arm.changes, seed) not in done
    ]
    with workers(args.jobs) as pool:
        futures = [pool.submit(run, job) for job in missing]
        try:
            for n, future in enumerate(as_completed(futures), 1):
                try:
                    row = future.result()
                except UserError as error:  # it diverged; the others continue
                    print(f"{n}/{len(missing)} failed: {error}", file=sys.stderr, flush=True)
                    continue
                with results.open("a", encoding="utf-8") as file:
                    file.write("\n" + json.dumps(row))  # the line before may have been cut short
                print(
                    f"{n}/{len(missing)} {row['arm']}, seed {row['seed']}: {row['seconds']:.0f} s, "
                    f"{row['by_length'][0]:.4f} bits per byte",
                    file=sys.stderr,
                    flush=True,
                )
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


# --------------------------------------------------------------------------------- reporting


def spread(values: list[float]) -> list[float]:
    """Mean and 95 % t-interval over seeds; for a single seed, the value alone."""
    return list(mean_and_interval(values)) if len(values) > 1 else values


def row(arm: Arm, mine: list[dict[str, Any]], other: list[dict[str, Any]]) -> dict[str, Any]:
    """The summary of an arm over its seeds, with differences to the arm it is compared with."""
    bits = [[result["by_length"][i] for result in mine] for i in range(len(STRETCHES))]
    base = [[result["by_length"][i] for result in other] for i in range(len(STRETCHES))]
    return {
        "group": arm.group,
        "arm": arm.name,
        "changes": arm.changes,
        "against": arm.against,
        "parameters": mine[0]["parameters"],
        "steps": mine[0]["steps"],
        "tokens_per_second": statistics.median(result["tokens_per_second"] for result in mine),
        "bits_per_byte": [spread(values) for values in bits],
        "by_quarter": np.mean([result["by_quarter"] for result in mine], axis=0).tolist(),
        "difference": [
            spread([x - y for x, y in zip(a, b, strict=True)])
            for a, b in zip(bits, base, strict=True)
        ],
    }


def summary(folder: Path, recipe: Recipe, plan: dict[str, Any], seeds: list[int]) -> dict[str, Any]:
    """All figures of the table and the documents, for the arms that finished all seeds."""
    done = finished(folder / "results.jsonl")
    results: dict[str, list[dict[str, Any]]] = {}
    for arm in ARMS:
        keys = [(arm.name, arm.changes, seed) for seed in seeds]
        if all(key in done for key in keys):
            results[arm.name] = [done[key] for key in keys]
    rows = []
    for arm in ARMS:
        if arm.name in results and arm.against in results:
            found = row(arm, results[arm.name], results[arm.against])
            found["flops_per_token"] = plan["flops_per_token"][arm.name]
            found["kv_bytes_per_token"] = kv_bytes(arm.config(recipe), 1)
            rows.append(found)
    tokens = recipe.train.row_tokens
    return {
        "benchmark": "architectures",
        "commit": commit(),
        "seeds": seeds,
        "seconds": plan["seconds"],
        "lengths": [tokens * stretch for stretch in STRETCHES],
        "tokens_of_base": plan["steps"]["base"] * tokens * recipe.train.batch_rows,
        "rows": rows,
    }


def table(found: dict[str, Any]) -> str:
    """The summary in Markdown."""
    trained, twice, longest = found["lengths"]
    lines = [
        f"| group | arm | parameters | MFLOP a token | steps | tokens/s | KV bytes a token "
        f"| bits per byte, {trained} tokens | difference | {twice} | {longest} |",
        "|---|---|--:|--:|--:|--:|--:|--:|---|--:|--:|",
    ]
    for r in found["rows"]:
        bits = [f"{values[0]:.3f}" for values in r["bits_per_byte"]]
        mean, *interval = r["difference"][0]
        difference = ""
        if r["arm"] != r["against"]:
            difference = f"{mean:+.3f}"
            if interval:
                difference += f" ({interval[0]:+.3f} to {interval[1]:+.3f})"
            if r["against"] != "base":
                difference += f" against {r['against']}"
        cells = [
            r["group"],
            r["arm"],
            f"{r['parameters']:,}",
            f"{r['flops_per_token'] / 1e6:.2f}",
            f"{r['steps']}",
            f"{r['tokens_per_second']:,.0f}",
            f"{r['kv_bytes_per_token']:,}",
            bits[0],
            difference,
            *bits[1:],
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--folder", type=Path, default=Path("runs/architectures"))
    parser.add_argument("--texts", type=Path, help="folder; default $GLASSMIND_DATA/text")
    parser.add_argument("--megabytes", type=float, default=12, help="of books to train on")
    parser.add_argument("--recipe", default="architectures")
    parser.add_argument(
        "--seconds", type=float, default=90, help="budget of the base model on one thread"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--jobs", type=int, default=1, help="arms run at the same time")
    parser.add_argument("--write", type=Path, help="the summary as a JSON file")
    args = parser.parse_args()
    if args.texts is None and "GLASSMIND_DATA" not in os.environ:
        parser.error("give --texts FOLDER or set GLASSMIND_DATA")
    os.environ["OMP_NUM_THREADS"] = "1"  # read when a process of its own loads PyTorch
    args.folder.mkdir(parents=True, exist_ok=True)
    texts = args.texts or Path(os.environ["GLASSMIND_DATA"]) / "text"
    recipe = prepare(args.folder, texts, read_recipe(args.recipe), args.megabytes)
    plan = make_plan(args.folder, recipe, args)
    try:
        run_all(args.folder, recipe, plan, args)
    except KeyboardInterrupt:
        print("stopped; the same command goes on", file=sys.stderr)
        return 130
    found = summary(args.folder, recipe, plan, args.seeds)
    if args.write:
        write_json(args.write, found)
    print(table(found))
    print(json.dumps(found))
    return 0 if len(found["rows"]) == len(ARMS) else 1


if __name__ == "__main__":
    sys.exit(main())
