"""What training on many GPUs needs: memory, traffic and time.

    glassmind plan                               1B, 8B and 70B on 8, 64 and 512 GPUs
    glassmind plan --params 8B --gpus 64         every layout, and the recommended one
    glassmind plan --preset llama3-70b --gpus 512 --tokens 2T

The default GPU is an NVIDIA H100: 80 GB, 989 TFLOP/s in bfloat16, 450 GB/s each way to its seven
neighbours and 50 GB/s (one 400 Gb/s card) to other nodes. docs/SCALING-OUT.md explains the model.
"""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING

from glassmind.errors import UserError
from glassmind.evaluate.columns import Column, print_table

if TYPE_CHECKING:
    from glassmind.model import ModelConfig
    from glassmind.plan.estimate import Cluster, Estimate, Job

_NUMBER = re.compile(r"(\d{1,15}(?:\.\d{1,6})?)([kKmMbBtT]?)")
_SCALE = {"": 1.0, "k": 1e3, "m": 1e6, "b": 1e9, "t": 1e12}
TOKENS_PER_PARAMETER = 20  # Hoffmann et al. 2022 (arXiv 2203.15556)
TABLE_MODELS, TABLE_GPUS = ("llama3-1b", "llama3-8b", "llama3-70b"), (8, 64, 512)


_SIZE_COLUMNS = (
    Column("model", left=True),
    Column("GPUs"),
    Column("layout", left=True, rank=1),
    Column("GB a GPU", rank=2),
    Column("GB sent", rank=5),
    Column("s to send", rank=5),
    Column("s to compute", rank=4),
    Column("waiting", rank=3),
    Column("days"),
    Column("GPU hours", rank=2),
)
_LAYOUT_COLUMNS = (
    Column("layout", left=True),
    Column("rows at once", rank=3),
    Column("GB a GPU"),
    Column("state", rank=6),
    Column("gathered", rank=6),
    Column("activations", rank=6),
    Column("logits", rank=6),
    Column("GB sent", rank=5),
    Column("s to send", rank=4),
    Column("s to compute", rank=4),
    Column("s a step", rank=1),
    Column("", left=True, rank=2),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``glassmind plan``."""
    model = parser.add_mutually_exclusive_group()
    model.add_argument("--params", type=_number, metavar="N", help="parameters, such as 8B or 350M")
    model.add_argument("--preset", metavar="NAME", help="llama3-8b, or one of `glassmind models`")
    parser.add_argument("--gpus", type=_count, metavar="N", help="number of GPUs")
    parser.add_argument("--gpus-per-node", type=_count, default=8, metavar="N", help="default 8")
    parser.add_argument("--sequence", type=_count, default=8192, metavar="N", help="default 8192")
    parser.add_argument(
        "--batch-tokens",
        type=_number,
        default=2.0**22,
        metavar="N",
        help="tokens per step; default 4.2M",
    )
    parser.add_argument(
        "--tokens", type=_number, metavar="N", help="tokens in total; default 20 per parameter"
    )
    parser.add_argument("--memory", type=_positive, default=80.0, help="GB per GPU; default 80")
    parser.add_argument("--peak", type=_positive, default=989.0, help="TFLOP/s; default 989")
    parser.add_argument("--mfu", type=_share, default=0.4, help="share of the peak; default 0.4")
    parser.add_argument(
        "--link", type=_positive, default=450.0, help="GB/s to a GPU of the node; default 450"
    )
    parser.add_argument(
        "--network", type=_positive, default=50.0, help="GB/s out of the node; default 50"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")


def run(args: argparse.Namespace) -> int:
    """Print the table of sizes, or the layouts for one; return 0."""
    if args.params is None and args.preset is None:
        if args.gpus is not None:
            raise UserError("--gpus needs a model: give --params (8B) or --preset (llama3-8b)")
        _table(args)
        return 0
    if args.gpus is None:
        raise UserError("give the number of GPUs, such as --gpus 64")
    from glassmind.plan.sizes import preset, shape_of

    if args.preset:
        _one(args, args.preset, preset(args.preset))
    else:
        _one(args, *shape_of(args.params))
    return 0


def _cluster(args: argparse.Namespace, gpus: int) -> Cluster:
    from glassmind.plan.estimate import MOST_GPUS, Cluster

    per_node = min(args.gpus_per_node, gpus)
    if gpus > MOST_GPUS:
        raise UserError(f"--gpus must be at most {MOST_GPUS:,}, not {gpus:,}")
    if gpus % per_node:
        raise UserError(
            f"{gpus} GPUs do not fill nodes of {per_node}: give a multiple, or --gpus-per-node"
        )
    return Cluster(
        gpus,
        per_node,
        memory=args.memory * 1e9,
        peak=args.peak * 1e12,
        efficiency=args.mfu,
        link=args.link * 1e9,
        network=args.network * 1e9,
    )


def _job(args: argparse.Namespace, config: ModelConfig, gpus: int) -> Job:
    """The job with the batch rounded to whole rows that divide evenly among the GPUs."""
    from glassmind.model.counting import parameters
    from glassmind.plan.estimate import Job

    if args.batch_tokens < args.sequence:
        raise UserError(
            f"a batch of {args.batch_tokens:,.0f} tokens is less than one row of "
            f"{args.sequence:,}: raise --batch-tokens or lower --sequence"
        )
    rows = args.batch_tokens / args.sequence
    rows = max(1, round(rows / gpus)) * gpus if rows >= gpus else round(rows)
    tokens = args.tokens or TOKENS_PER_PARAMETER * parameters(config).total
    return Job(config, args.sequence, rows, tokens)


def _one(args: argparse.Namespace, name: str, config: ModelConfig) -> None:
    from glassmind.cli.console import out, print_json, say_left_out
    from glassmind.learn.architectures.numbers import large
    from glassmind.model.counting import parameters
    from glassmind.plan.estimate import choose, fits, recommend

    cluster = _cluster(args, args.gpus)
    job = _job(args, config, args.gpus)
    chosen = choose(job, cluster)
    best = recommend(chosen, cluster)
    if args.json:
        layouts = [_facts(result) | {"fits": fits(result, cluster)} for result in chosen.values()]
        recommended = None if best is None else _facts(best)
        print_json({"schema": 1, **_asked(name, job, cluster), "layouts": layouts}
                   | {"recommended": recommended})  # fmt: skip
        return
    screen = out()
    screen.print(
        f"{large(parameters(config).total)} parameters ({name}), {large(job.tokens)} tokens in "
        f"steps of {job.batch_rows:,} rows of {job.sequence:,} ({large(job.batch_tokens)} tokens), "
        f"{cluster.gpus} GPUs in nodes of {cluster.per_node}\n"
    )
    lines = [_line(result, fits(result, cluster)) for result in chosen.values()]
    say_left_out(print_table(screen, _LAYOUT_COLUMNS, lines))
    screen.print("\n" + _verdict(job, cluster, best))


def _table(args: argparse.Namespace) -> None:
    from dataclasses import replace

    from glassmind.cli.console import console, out, print_json, say_left_out
    from glassmind.learn.architectures.numbers import large
    from glassmind.plan.estimate import choose, fewest_gpus, recommend
    from glassmind.plan.sizes import preset

    rows: list[dict[str, object]] = []
    lines: list[tuple[str, ...]] = []
    for name in TABLE_MODELS:
        for gpus in TABLE_GPUS:
            cluster, job = _cluster(args, gpus), _job(args, preset(name), gpus)
            best = recommend(choose(job, cluster), cluster)
            row = _asked(name, job, cluster)
            if best is None:
                needed = fewest_gpus(replace(job), cluster)
                rows.append(row | {"recommended": None, "fewest_gpus": needed})
                lines.append((name, str(gpus), f"does not fit: it needs {needed} GPUs",
                              *[""] * 5, "–", ""))  # fmt: skip
                continue
            rows.append(row | {"recommended": _facts(best)})
            sent = sum(best.sent.values())
            lines.append(
                (
                    name,
                    str(gpus),
                    str(best.layout),
                    f"{best.memory / 1e9:.1f}",
                    f"{sent / 1e9:.1f}",
                    f"{best.send_seconds:.2f}",
                    f"{best.compute_seconds:.2f}",
                    f"{best.exposed_seconds / best.step_seconds:.0%}",
                    f"{best.hours / 24:.3g}",
                    large(best.gpu_hours),
                )
            )
    if args.json:
        print_json({"schema": 1, "rows": rows})
        return
    say_left_out(print_table(out(), _SIZE_COLUMNS, lines))
    console().print(
        f"A step is {args.batch_tokens / 1e6:.1f}M tokens in rows of {args.sequence:,}; 20 tokens "
        f"for each parameter in all; {args.mfu:.0%} of {args.peak:g} TFLOP/s. Bytes and seconds "
        "are one GPU's in one step. Next: glassmind plan --params 8B --gpus 64",
        style="dim",
    )


def _line(result: Estimate, fitting: bool) -> tuple[str, ...]:
    parts = (result.memory, result.state, result.gathered, result.activations, result.logits)
    hidden = "hidden" if result.exposed_seconds < 0.01 * result.step_seconds else (
        f"waits {result.exposed_seconds / result.step_seconds:.0%}"
    )  # fmt: skip
    return (
        str(result.layout),
        f"{result.layout.rows} x {result.accumulate}",
        *(f"{part / 1e9:.1f}" for part in parts),
        f"{sum(result.sent.values()) / 1e9:.1f}",
        f"{result.send_seconds:.2f}",
        f"{result.compute_seconds:.2f}",
        f"{result.step_seconds:.2f}",
        hidden if fitting else "does not fit",
    )


def _verdict(job: Job, cluster: Cluster, best: Estimate | None) -> str:
    from glassmind.learn.architectures.numbers import large
    from glassmind.plan.estimate import fewest_gpus, layouts

    if best is None:
        if next(layouts(job, cluster), None) is None:
            return (
                f"{job.batch_rows} rows cannot be divided among {cluster.gpus} GPUs: "
                "raise --batch-tokens"
            )
        needed = fewest_gpus(job, cluster)
        remedy = f"it needs {needed} GPUs" if needed else "no number of such GPUs is enough"
        return f"It does not fit {cluster.gpus} GPUs of {cluster.memory / 1e9:g} GB; {remedy}."
    in_the_trainer = best.layout.tensor == 1
    note = "" if in_the_trainer else " (tensor parallelism is not in this trainer)"
    return (
        f"Take {best.layout}{note}: {best.memory / 1e9:.0f} GB a GPU, {best.step_seconds:.2f} s a "
        f"step, {best.hours / 24:.3g} days, {large(best.gpu_hours)} GPU hours."
    )


def _asked(name: str, job: Job, cluster: Cluster) -> dict[str, object]:
    from glassmind.model.counting import parameters

    return {
        "model": name,
        "parameters": parameters(job.config).total,
        "tokens": job.tokens,
        "sequence": job.sequence,
        "batch_tokens": job.batch_tokens,
        "cluster": cluster,
    }


def _facts(result: Estimate) -> dict[str, object]:
    """An estimate as JSON: its fields and the values derived from them."""
    own = {name: value for name, value in vars(result).items() if name != "layout"}
    layout = {"name": str(result.layout), **vars(result.layout)}
    return {"layout": layout, "memory": result.memory, "step_seconds": result.step_seconds, **own}


def _number(text: str) -> float:
    match = _NUMBER.fullmatch(text)
    value = float(match[1]) * _SCALE[match[2].lower()] if match else 0.0
    if not 0 < value <= 1e18:
        raise argparse.ArgumentTypeError(f"a number such as 8B, 350M or 4000000, not {text[:40]!r}")
    return value


def _count(text: str) -> int:
    value = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"an integer from 1 to 999999999, not {text[:40]!r}")
    return value


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e9:
        raise argparse.ArgumentTypeError(f"a number above 0, not {text[:40]!r}")
    return value


def _share(text: str) -> float:
    value = _positive(text)
    if value > 1:
        raise argparse.ArgumentTypeError(f"a share from above 0 to 1, not {text[:40]!r}")
    return value
