"""Train one model: a shipped recipe by its name, or your own TOML file.

    glassmind train demo                              only the chain-of-thought model of the demo
    glassmind train demo --set style=direct           the base model
    glassmind train text --set pretrain.file=book.txt
    glassmind train text --set pretrain.file=book.txt --depth 6
    glassmind train demo --minutes 10

    torchrun --nproc-per-node 2 -m -- glassmind train text ...   one run in two processes

--depth is the one dial: width, heads, learning rates, batch and steps follow from it. --minutes
takes the deepest model that is trained well in that time, or --depth with the steps that fit; it
is the time of the training steps, to which reading the data and compiling are added.

The run's folder then works with ask, eval and load.
"""

from __future__ import annotations

import argparse
import os
from contextlib import nullcontext
from dataclasses import asdict
from functools import partial
from pathlib import Path

from glassmind.cli.settings import add_run_options, minutes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", help="a shipped recipe, a TOML file or a run's folder")
    parser.add_argument("--depth", type=int, metavar="N", help="layers, and all that follows")
    parser.add_argument(
        "--minutes", type=minutes, metavar="M", help="train for about so long on this machine"
    )
    add_run_options(parser)


def run(args: argparse.Namespace) -> int:
    if "TORCHELASTIC_RUN_ID" in os.environ:  # before torch is loaded: its own log is not for people
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    from glassmind.cli.console import console, print_json
    from glassmind.cli.jobs import choose_device, dial, resolve, timed
    from glassmind.cli.live import LiveProgress
    from glassmind.pipeline.training import run_training
    from glassmind.progress import Silent
    from glassmind.train.launch import launched

    with launched() as launch:
        recipe, _ = resolve(args, args.recipe, partial(dial, args))
        folder = args.run_folder or Path("runs") / f"{recipe.name}-train"
        device = launch.device(choose_device(args))
        world = launch.join(recipe.train.parallel, device)
        resume = args.resume or launch.restarted
        with LiveProgress() if world.first else nullcontext(Silent()) as progress:
            if args.minutes is not None:
                recipe = timed(
                    args, recipe, folder, device, progress, resume=resume, processes=world.size
                )
            finished = run_training(
                recipe,
                folder,
                resume=resume,
                device=device,
                progress=progress,
                world=world,
            )
    if not world.first:
        return 0
    if args.json:
        print_json({"run": finished.path, **asdict(finished.info())})
    console().print(f"The model is in {finished.path}")
    return 0
