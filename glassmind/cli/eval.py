"""Grade a model on a task such as gsm8k.

glassmind eval --task test --model runs/demo
glassmind eval --task gsm8k --model smollm2       needs GSM8K's files below GLASSMIND_DATA
glassmind eval --task gsm8k --model http://127.0.0.1:8000/v1 --samples 8
glassmind eval --task my.jsonl                    your problems, the shipped model
"""

from __future__ import annotations

import argparse

from glassmind.cli.chosen_model import MODELS, add_prompt_arguments
from glassmind.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--task",
        required=True,
        help="validation, test, longer, reworded, gsm8k, math (or gsm8k-train, ...), a JSONL file",
    )
    parser.add_argument("--model", metavar="MODEL", help=f"{MODELS}; else the shipped model")
    parser.add_argument("--stage", default="", help="which model of the run, for example direct")
    parser.add_argument(
        "--method",
        action="append",
        default=[],
        metavar="NAME",
        help="only this method, and what else is named by another --method "
        "(glassmind methods lists them)",
    )
    parser.add_argument(
        "--reward",
        action="append",
        default=[],
        metavar="NAME",
        help="also give the sampled chains this reward (glassmind methods lists them)",
    )
    parser.add_argument(
        "--limit", type=int, default=0, metavar="N", help="only the first N problems (0: all)"
    )
    parser.add_argument("--samples", type=int, metavar="K", help="how many chains vote")
    parser.add_argument("--temperature", type=float, metavar="T")
    parser.add_argument("--max-tokens", type=int, metavar="N", help="the longest chain")
    parser.add_argument(
        "--shots", type=int, default=0, metavar="K", help="worked examples before each question"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    parser.add_argument("--device", help="auto, cpu, cuda, ...")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads to compute with")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    add_prompt_arguments(parser)


def run(args: argparse.Namespace) -> int:
    from glassmind.cli.chosen_model import chosen_prompts
    from glassmind.cli.console import console, out, print_json, say_left_out
    from glassmind.cli.jobs import choose_device, chosen_sampling
    from glassmind.cli.live import LiveProgress
    from glassmind.evaluate.columns import terminal_width
    from glassmind.evaluate.ladder.rewards import rewards_text
    from glassmind.evaluate.ladder.table import print_ladder
    from glassmind.llm import open_llm
    from glassmind.pipeline.evaluate import evaluate_task
    from glassmind.serialization import encode

    for name, least in (("samples", 1), ("limit", 0), ("threads", 1), ("max_tokens", 1),
                        ("shots", 0)):  # fmt: skip
        value = getattr(args, name)
        if value is not None and value < least:
            raise UserError(f"--{name.replace('_', '-')} must be at least {least}, not {value}")
    llm = open_llm(
        args.model or "",
        stage=args.stage,
        device=choose_device(args),
        prompts=chosen_prompts(args),
        api_key_variable=args.api_key_env,
    )
    sampling = chosen_sampling(args, llm.default_sampling)
    with LiveProgress() as progress:
        result = evaluate_task(
            args.task,
            llm,
            methods=args.method,
            rewards=args.reward,
            limit=args.limit,
            shots=args.shots,
            sampling=sampling,
            seed=args.seed,
            progress=progress,
        )
    if result.skipped:
        console().print(
            f"{result.skipped} questions are longer than the model's context and count as wrong"
        )
    if args.json:
        print_json(encode(result))
    else:
        say_left_out(print_ladder(result, out()))
        if result.rewards:
            out().file.write("\n" + rewards_text(result.rewards, terminal_width(out())) + "\n")
    return 0
