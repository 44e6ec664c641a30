"""What the verbs that run a recipe share: resolve it, choose the device, run, show the table."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from glassmind.cli.settings import apply_overrides
from glassmind.errors import UserError

if TYPE_CHECKING:
    import torch

    from glassmind.runs.folder import RunFolder
    from glassmind.runs.recipe import Recipe, SamplingConfig


def resolve(args: argparse.Namespace, name: str) -> tuple[Recipe, Path]:
    """The recipe with the command line's changes, and the folder of its run."""
    from glassmind.runs.recipe import read_recipe

    recipe = apply_overrides(read_recipe(name), args.overrides)
    if args.seed is not None:
        recipe = replace(recipe, seed=args.seed)
    return recipe, args.run_folder or Path("runs") / recipe.name


def choose_device(args: argparse.Namespace) -> torch.device:
    """The device asked for; ``auto`` and nothing take a GPU if there is one. Sets the threads."""
    import torch

    if args.threads:
        torch.set_num_threads(args.threads)
    name = args.device or "auto"
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0][:120]
        raise UserError(
            f"--device {name} cannot be used here ({reason}); try --device cpu"
        ) from None
    return device


def chosen_sampling(args: argparse.Namespace, sampling: SamplingConfig) -> SamplingConfig:
    """The run's way of sampling with what ``--samples`` and ``--temperature`` change."""
    from glassmind.runs.dataclass_tree import replace_many

    wishes = (("samples", args.samples), ("temperature", args.temperature))
    changes = [(name, str(value)) for name, value in wishes if value is not None]
    return replace_many(sampling, changes, "the command line")


def climb(args: argparse.Namespace, recipe: Recipe, folder: Path, *, resume: bool) -> int:
    """Run the ladder, then print its table (or, with ``--json``, ``ladder.json``)."""
    from glassmind.cli.live import LiveProgress
    from glassmind.pipeline.ladder import run_ladder

    with LiveProgress() as progress:
        run = run_ladder(
            recipe, folder, resume=resume, device=choose_device(args), progress=progress
        )
    show_ladder(args, run)
    return 0


def show_ladder(args: argparse.Namespace, run: RunFolder) -> None:
    """The finished run's table on standard output, and where its report is."""
    from glassmind.cli.console import console, out, print_json
    from glassmind.evaluate.run_files import read_ladder
    from glassmind.evaluate.table import print_ladder
    from glassmind.pipeline.ladder import read_ladder_json

    if args.json:
        print_json(read_ladder_json(run))
    else:
        print_ladder(read_ladder(run.path / "ladder.json"), out())
    console().print(f"The report is {run.path / 'report.html'}")
