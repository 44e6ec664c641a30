"""Have a model judge which of several models answers better.

    glassmind judge a.jsonl b.jsonl --judge smollm2 --limit 4
    glassmind judge a.jsonl b.jsonl c.jsonl --judge http://127.0.0.1:8000/v1

The files are those of glassmind eval --out. Every pair of answers is shown to the judge in both
orders; only a verdict that survives the swap counts. Scores are Bradley-Terry's, with bootstrap
intervals over the problems.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from glassmind.cli.chosen_model import MODELS, add_key_argument
from glassmind.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help="two or more files of eval --out"
    )
    parser.add_argument("--judge", required=True, metavar="MODEL", help=MODELS)
    parser.add_argument("--method", default="", metavar="NAME", help="the method whose answers")
    parser.add_argument(
        "--limit", type=int, default=0, metavar="N", help="only the first N problems (0: all)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead")
    add_key_argument(parser)


def run(args: argparse.Namespace) -> int:
    if args.limit < 0:
        raise UserError(f"--limit must be at least 0, not {args.limit}")
    if len(args.files) < 2:
        raise UserError("give two or more files of answers, to be compared")
    from glassmind.cli.console import out, print_json
    from glassmind.cli.live import LiveProgress
    from glassmind.evaluate.columns import terminal_width
    from glassmind.evaluate.graded_problems import read_problems
    from glassmind.llm import open_llm
    from glassmind.pipeline.judge import judge_answers, judged_record, judged_text

    evaluations = [read_problems(path) for path in args.files]
    models = [found[0].model for found in evaluations]
    # A model against itself, say with two prompts: the files tell them apart.
    names = models if len(set(models)) == len(models) else [path.name for path in args.files]
    judge = open_llm(args.judge, api_key_variable=args.api_key_env)
    with LiveProgress() as progress:
        found = judge_answers(
            judge,
            evaluations,
            names=names,
            method=args.method,
            limit=args.limit,
            progress=progress,
        )
    if args.json:
        print_json(judged_record(found))
    else:
        out().file.write(judged_text(found, terminal_width(out())) + "\n")
    return 0
