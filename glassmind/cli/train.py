"""Train one model: a shipped recipe by its name, or your own TOML file.

    glassmind train demo                              only the chain-of-thought model of the demo
    glassmind train demo --set style=direct           the base model
    glassmind train text --set pretrain.file=book.txt

The run's folder then works with ask, eval and load.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from glassmind.cli.settings import add_run_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", help="a shipped recipe, a TOML file or a run's folder")
    add_run_options(parser)


def run(args: argparse.Namespace) -> int:
    from glassmind.cli.console import console, print_json
    from glassmind.cli.jobs import choose_device, resolve
    from glassmind.cli.live import LiveProgress
    from glassmind.pipeline.single import run_training

    recipe, _ = resolve(args, args.recipe)
    folder = args.run_folder or Path("runs") / f"{recipe.name}-train"
    with LiveProgress() as progress:
        finished = run_training(
            recipe, folder, resume=args.resume, device=choose_device(args), progress=progress
        )
    if args.json:
        print_json({"run": finished.path, **finished.facts()})
    console().print(f"The model is in {finished.path}")
    return 0
