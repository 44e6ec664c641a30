"""Grade a model on a task such as gsm8k.

glassmind eval --task test --model runs/demo
glassmind eval --task gsm8k --model runs/demo     needs GSM8K's files below GLASSMIND_DATA
glassmind eval --task my.jsonl                    your problems, the shipped model
"""

from __future__ import annotations

import argparse

from glassmind.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--task",
        required=True,
        help="validation, test, longer, reworded, gsm8k, math (or gsm8k-train, ...), a JSONL file",
    )
    parser.add_argument("--model", metavar="RUN", help="a run's folder; else the shipped model")
    parser.add_argument("--stage", default="", help="which model of the run, for example base")
    parser.add_argument(
        "--limit", type=int, default=0, metavar="N", help="only the first N problems"
    )
    parser.add_argument("--samples", type=int, metavar="K", help="how many chains vote")
    parser.add_argument("--temperature", type=float, metavar="T")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    parser.add_argument("--device", help="auto, cpu, cuda, ...")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads to compute with")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")


def run(args: argparse.Namespace) -> int:
    from glassmind.cli.console import console, out, print_json
    from glassmind.cli.jobs import choose_device, chosen_sampling
    from glassmind.cli.live import LiveProgress
    from glassmind.evaluate.ladder.table import print_ladder
    from glassmind.evaluate.run_files import Ladder
    from glassmind.pipeline.evaluate import evaluate_task
    from glassmind.runs.models import SHIPPED, load
    from glassmind.serialization import decode

    for name, least in (("samples", 1), ("limit", 0), ("threads", 1)):
        value = getattr(args, name)
        if value is not None and value < least:
            raise UserError(f"--{name} must be at least {least}, not {value}")
    loaded = load(args.model or SHIPPED, args.stage, choose_device(args))
    sampling = chosen_sampling(args, loaded.recipe.sampling)
    with LiveProgress() as progress:
        result = evaluate_task(
            args.task,
            loaded,
            limit=args.limit,
            sampling=sampling,
            seed=args.seed,
            progress=progress,
        )
    if result["skipped"]:
        console().print(
            f"{result['skipped']} questions are longer than the model's context and count as wrong"
        )
    if args.json:
        print_json(result)
    else:
        print_ladder(decode(Ladder, result, args.task, unknown_keys="ignore"), out())
    return 0
