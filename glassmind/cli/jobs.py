"""Shared by the verbs that run a recipe: resolve it, choose the device, run, show the table."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from glassmind.cli.data_options import with_data_options
from glassmind.cli.settings import apply_overrides
from glassmind.errors import UserError

if TYPE_CHECKING:
    import torch

    from glassmind.progress import Progress
    from glassmind.runs.folder import RunFolder
    from glassmind.runs.recipe import Recipe, SamplingConfig


def resolve(
    args: argparse.Namespace, name: str, shape: Callable[[Recipe], Recipe] | None = None
) -> tuple[Recipe, Path]:
    """The recipe with the command line's changes, and the folder of its run.

    The changes are applied again after ``shape``, so that values set by hand win.
    """
    from glassmind.runs.recipe import read_recipe

    recipe = changed(args, read_recipe(name))
    if shape is not None:
        recipe = changed(args, shape(recipe))
    return recipe, args.run_folder or Path("runs") / recipe.name


def changed(args: argparse.Namespace, recipe: Recipe) -> Recipe:
    """``recipe`` changed by ``--set``, ``--track``, ``--seed``, and the options of one's own data
    where the command has them."""
    overrides = list(args.overrides)
    if args.trackers:
        named = ",".join(args.trackers)
        overrides += [f"train.trackers={named}", f"verifier.train.trackers={named}"]
    recipe = apply_overrides(recipe, overrides)
    if "columns" in args:
        recipe = with_data_options(args, recipe)
    return recipe if args.seed is None else replace(recipe, seed=args.seed)


def dial(args: argparse.Namespace, recipe: Recipe) -> Recipe:
    """The recipe shaped by ``--depth``; with ``--minutes`` alone, before anything is timed."""
    if args.depth is None and args.minutes is None:
        return recipe
    from glassmind.pipeline.time_budget import FIRST_GUESS, vocabulary_size
    from glassmind.runs.dial import dialled, require_new

    require_new(recipe)
    depth = FIRST_GUESS if args.depth is None else args.depth
    return dialled(recipe, depth, vocab_size=vocabulary_size(recipe))


def timed(
    args: argparse.Namespace,
    asked: Recipe,
    folder: Path,
    device: torch.device,
    progress: Progress,
    *,
    resume: bool,
    processes: int,
) -> Recipe:
    """The recipe shaped by ``--minutes``; ``asked`` is the one from ``--depth`` alone.

    A resumed run is not timed again: its folder has the number of steps.
    """
    from glassmind.pipeline.time_budget import require_data, within
    from glassmind.runs.folder import require_free
    from glassmind.runs.recipe import read_recipe
    from glassmind.train.trackers import require_trackers

    if resume and (folder / "recipe.toml").is_file():
        stored = changed(args, read_recipe(str(folder)))
        if args.depth is not None and stored.model != asked.model:
            raise UserError(
                f"{folder} was started at depth {stored.model.n_layers}, not {args.depth}: resume "
                "it with its own, or name another folder by --run"
            )
        return stored
    if processes > 1:
        raise UserError(
            "--minutes is measured in one process: under torchrun give --depth and, for the time "
            "you have, --set train.steps"
        )
    require_free(folder, resume=False)
    require_trackers(asked.train.trackers)
    require_data(asked)
    finish = partial(changed, args)
    recipe = finish(read_recipe(args.recipe))
    return within(recipe, args.minutes, args.depth, finish, device=device, progress=progress)


def choose_device(args: argparse.Namespace) -> torch.device:
    """The requested device; ``auto`` or none: a GPU if there is one. Also sets the threads."""
    import torch

    if args.threads:
        torch.set_num_threads(args.threads)
        os.environ["OMP_NUM_THREADS"] = str(args.threads)  # so that no other number is tried
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
    """The model's sampling settings, with what the command line changes."""
    from glassmind.runs.overrides import replace_many

    wishes = (
        ("samples", args.samples),
        ("temperature", args.temperature),
        ("max_new_tokens", args.max_tokens),
    )
    changes = [(name, str(value)) for name, value in wishes if value is not None]
    return replace_many(sampling, changes, "the command line")


def climb(args: argparse.Namespace, recipe: Recipe, folder: Path, *, resume: bool) -> int:
    """Run the ladder, then print its table (or, with ``--json``, ``ladder.json``)."""
    from glassmind.cli.console import console
    from glassmind.cli.live import LiveProgress
    from glassmind.pipeline.ladder import run_ladder

    if not (folder / "ladder.json").is_file():
        console().print(f"{recipe.name}: {recipe.about}" if recipe.about else recipe.name)
    with LiveProgress() as progress:
        run = run_ladder(
            recipe, folder, resume=resume, device=choose_device(args), progress=progress
        )
    show_ladder(args, run)
    return 0


def show_ladder(args: argparse.Namespace, run: RunFolder) -> None:
    """Print the finished run's table on standard output, and the path of its report."""
    from glassmind.cli.console import console, out, print_json
    from glassmind.evaluate.ladder.table import print_ladder
    from glassmind.pipeline.ladder import finished_ladder
    from glassmind.serialization import encode

    ladder = finished_ladder(run)
    if args.json:
        print_json(encode(ladder))
    else:
        print_ladder(ladder, out())
    console().print(f"The report is {run.path / 'report.html'}")
