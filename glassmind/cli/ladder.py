"""Run the ladder of methods on generated problems or on your own.

glassmind ladder                                  the demo's ladder
glassmind ladder laptop --set sampling.samples=32
glassmind ladder --problems my.csv                columns: question, answer, solution
glassmind ladder --problems gsm8k                 GSM8K's files below GLASSMIND_DATA
glassmind ladder --from smollm2                   from published weights, by LoRA
glassmind ladder runs/mine --resume               continue with the run's own recipe
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from glassmind.cli.data_options import add_data_options
from glassmind.cli.settings import add_run_options
from glassmind.errors import UserError

if TYPE_CHECKING:
    from glassmind.runs.recipe import Recipe


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
    from glassmind.runs.folder import differences

    name = args.recipe
    if not name and not (args.resume and args.run_folder):
        name = "pretrained" if args.start else "own" if args.problems else "demo"
    if args.problems and args.run_folder is None and not (args.resume and args.recipe):
        args.run_folder = Path("runs") / Path(args.problems).stem
    recipe, folder = resolve(args, name, partial(_shaped, args), resume=args.resume)
    if args.resume and (other := differences(recipe, _shaped(args, recipe))):
        raise UserError(f"{folder} was started with another {other[0]}: leave that out")
    return climb(args, recipe, folder, resume=args.resume)


def _shaped(args: argparse.Namespace, recipe: Recipe) -> Recipe:
    """The recipe with the changes of ``--from`` and ``--problems``."""
    from glassmind.llm.opening import weights_at

    if args.start:
        recipe = replace(recipe, start=weights_at(args.start))
    if args.problems:
        recipe = replace(recipe, problems=replace(recipe.problems, file=args.problems))
    return recipe
