"""Train models of several depths, and fit a scaling law of loss against compute.

    glassmind scaling                                     the demo's problems, depths 2 to 5
    glassmind scaling text --set pretrain.file=book.txt --depths 2,3,4,5,6
    glassmind scaling short --depths 1,2,3 --tokens-per-parameter 2        minutes
    glassmind scaling --run runs/text-scaling --resume                     continue

Every size is a run of its own in the folder. The verb prints the fitted law, its goodness of fit,
and how well it predicts the largest size from the others, and draws them in scaling.html.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from glassmind.cli.settings import add_run_options
from glassmind.errors import UserError

if TYPE_CHECKING:
    from glassmind.pipeline.scaling import Settings
    from glassmind.runs.recipe import Recipe

DEPTHS, MOST_SEEDS = "2,3,4,5", 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "recipe", nargs="?", default="", help="a recipe as for train (default demo)"
    )
    parser.add_argument("--depths", metavar="LIST", help=f"three or more (default {DEPTHS})")
    parser.add_argument("--seeds", type=int, metavar="N", help="runs of each depth (1)")
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
    from glassmind.pipeline.scaling import SETTINGS, run_scaling
    from glassmind.runs.recipe import read_recipe
    from glassmind.serialization import write_record

    _check(args)
    recipe = None if args.resume and not args.recipe else read_recipe(args.recipe or "demo")
    folder = args.run_folder or Path("runs") / f"{recipe.name if recipe else 'demo'}-scaling"
    settings = _kept(args, folder, recipe) if args.resume else _asked(args, recipe)
    args.overrides, args.trackers = list(settings.overrides), list(settings.trackers)
    args.seed = settings.seed
    with LiveProgress() as progress:
        scaling = run_scaling(
            settings.recipe,
            folder,
            _depths(settings.depths),
            seeds=settings.seeds,
            tokens_per_parameter=settings.tokens_per_parameter,
            finish=partial(changed, args),
            begin=lambda: write_record(folder / SETTINGS, settings),
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


def _check(args: argparse.Namespace) -> None:
    if args.depths is not None:
        _depths(args.depths)
    if args.seeds is not None and not 1 <= args.seeds <= MOST_SEEDS:
        raise UserError(f"--seeds takes a number from 1 to {MOST_SEEDS}, not {args.seeds}")
    ratio = args.tokens_per_parameter
    if ratio is not None and not 0 < ratio <= 1e6:
        raise UserError(f"--tokens-per-parameter takes a number above 0, not {ratio}")


def _asked(args: argparse.Namespace, recipe: Recipe | None) -> Settings:
    """The values of the command line, with defaults for those not given."""
    from glassmind.pipeline.scaling import Settings
    from glassmind.runs.dial import TOKENS_PER_PARAMETER
    from glassmind.runs.recipe import read_recipe

    ratio = args.tokens_per_parameter
    return Settings(
        recipe=recipe or read_recipe("demo"),
        depths=args.depths or DEPTHS,
        seeds=args.seeds or 1,
        tokens_per_parameter=TOKENS_PER_PARAMETER if ratio is None else ratio,
        overrides=tuple(args.overrides),
        trackers=tuple(args.trackers),
        seed=args.seed,
    )


def _kept(args: argparse.Namespace, folder: Path, recipe: Recipe | None) -> Settings:
    """The values with which the scaling run in ``folder`` was started; the command line may add
    depths and seeds.

    Raises:
        UserError: there is none, or it was started with other values than the command line's.
    """
    from glassmind.cli.jobs import changed
    from glassmind.pipeline.scaling import SETTINGS, Settings
    from glassmind.runs.folder import differences
    from glassmind.serialization import read_record

    if not (folder / SETTINGS).is_file():
        raise UserError(
            f"there is no scaling run in {folder} to continue: name its folder by --run, or start "
            "one without --resume"
        )
    kept = read_record(Settings, folder / SETTINGS)
    begun_as = argparse.Namespace(
        overrides=kept.overrides, trackers=list(kept.trackers), seed=kept.seed
    )
    before = changed(begun_as, kept.recipe)
    other = differences(before, changed(args, before))
    if recipe is not None and recipe.name != kept.recipe.name:
        other.append(f"name ({kept.recipe.name!r}, now {recipe.name!r})")
    ratio = args.tokens_per_parameter
    if ratio not in (None, kept.tokens_per_parameter):
        other.append(f"--tokens-per-parameter ({kept.tokens_per_parameter:g}, now {ratio:g})")
    if other:
        raise UserError(
            f"{folder} was started with another {other[0]}: leave that out, since --resume "
            "continues with the run's own values"
        )
    return replace(kept, depths=args.depths or kept.depths, seeds=args.seeds or kept.seeds)


def _depths(text: str) -> list[int]:
    parts = text.split(",")
    if not all(part.strip().isascii() and part.strip().isdigit() for part in parts):
        raise UserError(f"--depths takes whole numbers such as 2,3,4,5, not {text[:40]!r}")
    return [int(part) for part in parts]
