"""Train one model: a shipped recipe by its name, or your own TOML file.

    glassmind train demo                              only the chain-of-thought model of the demo
    glassmind train demo --set style=direct           the model that answers directly
    glassmind train text --set pretrain.file=book.txt
    glassmind train text --set pretrain.file=book.txt --depth 6
    glassmind train demo --minutes 10
    glassmind train --run runs/demo-train --resume    continue with the run's own recipe

    torchrun --nproc-per-node 2 -m -- glassmind train text ...   one run in two processes

--depth sets the size: width, heads, learning rates, batch and steps are computed from it. --minutes
chooses the deepest model that trains well in that time, or with --depth the number of steps that
fit; it counts only the training steps, not reading the data and compiling.

The run's folder can then be used with ask, eval and load.
"""

from __future__ import annotations

import argparse
import os
from contextlib import nullcontext
from dataclasses import asdict
from functools import partial

from glassmind.cli.data_options import add_data_options
from glassmind.cli.settings import add_run_options, minutes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "recipe",
        nargs="?",
        default="",
        help="a shipped recipe, a TOML file or a run's folder (with --resume: the run's own)",
    )
    parser.add_argument(
        "--depth", type=int, metavar="N", help="number of layers; the other sizes follow"
    )
    parser.add_argument(
        "--minutes", type=minutes, metavar="M", help="train for about this long on this machine"
    )
    add_data_options(parser)
    add_run_options(parser)


def run(args: argparse.Namespace) -> int:
    if "TORCHELASTIC_RUN_ID" in os.environ:  # before torch is imported, to silence its log
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    from glassmind.cli.console import console, print_json
    from glassmind.cli.jobs import choose_device, dial, resolve, timed
    from glassmind.cli.live import LiveProgress
    from glassmind.pipeline.training import run_training
    from glassmind.progress import Silent
    from glassmind.runs.folder import holds_run
    from glassmind.train.processes.launch import launched

    with launched() as launch:
        resume = args.resume or launch.restarted
        recipe, folder = resolve(
            args, args.recipe, partial(dial, args), suffix="-train", resume=resume
        )
        device = launch.device(choose_device(args))
        group = launch.join(recipe.train.parallel, device)
        with LiveProgress() if group.is_first else nullcontext(Silent()) as progress:
            if args.minutes is not None and not (resume and holds_run(folder)):
                recipe = timed(args, recipe, folder, device, progress, processes=group.size)
            finished = run_training(
                recipe,
                folder,
                resume=resume,
                device=device,
                progress=progress,
                group=group,
            )
    if not group.is_first:
        return 0
    if args.json:
        print_json({"run": finished.path, **asdict(finished.info())})
    console().print(f"The model is in {finished.path}")
    return 0
