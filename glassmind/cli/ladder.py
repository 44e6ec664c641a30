"""Run the ladder of methods on generated problems or on your own.

glassmind ladder                                  the demo's ladder
glassmind ladder laptop --set sampling.samples=32
glassmind ladder --problems my.csv                columns: question, answer, solution
glassmind ladder --problems gsm8k                 GSM8K's files below GLASSMIND_DATA
glassmind ladder --from smollm2                   from published weights, by LoRA
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from glassmind.cli.data_options import add_data_options
from glassmind.cli.settings import add_run_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "recipe", nargs="?", default="", help="a shipped recipe, a TOML file or a run's folder"
    )
    parser.add_argument(
        "--problems", metavar="FILE", help="a file or folder of problems, gsm8k or math"
    )
    parser.add_argument(
        "--from",
        dest="start",
        default="",
        metavar="MODEL",
        help="a finished model to start from: a run's folder, smollm2, a .gguf file, or a Hugging "
        "Face folder",
    )
    add_data_options(parser)
    add_run_options(parser)


def run(args: argparse.Namespace) -> int:
    from glassmind.cli.jobs import climb, resolve

    usual = "pretrained" if args.start else "own" if args.problems else "demo"
    recipe, folder = resolve(args, args.recipe or usual)
    if args.start:
        from glassmind.llm.opening import weights_at

        recipe = replace(recipe, start=weights_at(args.start))
    if args.problems:
        recipe = replace(recipe, problems=replace(recipe.problems, file=args.problems))
        folder = args.run_folder or Path("runs") / Path(args.problems).stem
    return climb(args, recipe, folder, resume=args.resume)
