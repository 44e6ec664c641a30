"""Test the dial: train several depths, and fit loss against compute.

    glassmind scaling                                     the demo's problems, depths 2 to 5
    glassmind scaling text --set pretrain.file=book.txt --depths 2,3,4,5,6
    glassmind scaling short --depths 1,2,3 --tokens-per-parameter 2        minutes

Every size is a run of its own in the folder. The fitted law, its goodness of fit, and how well it
predicts the largest size from the others are printed, and drawn in scaling.html.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from glassmind.cli.settings import add_run_options
from glassmind.errors import UserError

MOST_SEEDS = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "recipe", nargs="?", default="demo", help="a recipe as for train (default demo)"
    )
    parser.add_argument(
        "--depths", default="2,3,4,5", metavar="LIST", help="three or more (default 2,3,4,5)"
    )
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="runs of each depth")
    parser.add_argument(
        "--tokens-per-parameter",
        type=float,
        metavar="R",
        help="training tokens per parameter of each size (default: the dial's 8)",
    )
    add_run_options(parser)


def run(args: argparse.Namespace) -> int:
    from functools import partial

    from glassmind.cli.console import console, out, print_json, say_left_out
    from glassmind.cli.jobs import changed, choose_device
    from glassmind.cli.live import LiveProgress
    from glassmind.evaluate.columns import print_table
    from glassmind.evaluate.scaling.page import COLUMNS, scaling_record, sentences, table_rows
    from glassmind.pipeline.scaling import run_scaling
    from glassmind.runs.dial import TOKENS_PER_PARAMETER
    from glassmind.runs.recipe import read_recipe

    depths = _depths(args.depths)
    if not 1 <= args.seeds <= MOST_SEEDS:
        raise UserError(f"--seeds takes a number from 1 to {MOST_SEEDS}, not {args.seeds}")
    ratio = args.tokens_per_parameter
    if ratio is not None and not 0 < ratio <= 1e6:
        raise UserError(f"--tokens-per-parameter takes a number above 0, not {ratio}")
    recipe = read_recipe(args.recipe)
    folder = args.run_folder or Path("runs") / f"{recipe.name}-scaling"
    if args.resume and not any(folder.glob("depth-*-seed-*/recipe.toml")):
        raise UserError(
            f"there is no scaling in {folder} to go on with: name its folder by --run, or begin "
            "one without --resume"
        )
    with LiveProgress() as progress:
        scaling = run_scaling(
            recipe,
            folder,
            depths,
            seeds=args.seeds,
            tokens_per_parameter=TOKENS_PER_PARAMETER if ratio is None else ratio,
            finish=partial(changed, args),
            resume=args.resume,
            device=choose_device(args),
            progress=progress,
        )
    if args.json:
        print_json(scaling_record(scaling))
    else:
        say_left_out(print_table(out(), COLUMNS, table_rows(scaling)))
        for sentence in sentences(scaling):
            out().print(sentence)
    console().print(f"The page is {folder / 'scaling.html'}")
    return 0


def _depths(text: str) -> list[int]:
    parts = text.split(",")
    if not all(part.strip().isascii() and part.strip().isdigit() for part in parts):
        raise UserError(f"--depths takes whole numbers such as 2,3,4,5, not {text[:40]!r}")
    return [int(part) for part in parts]
