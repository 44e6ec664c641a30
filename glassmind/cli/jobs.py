"""For the verbs that run a recipe: resolve it, choose the device, run it, print the table."""

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


MOST_DIFFERENCES = 3  # between two recipes that are printed in one line


def resolve(
    args: argparse.Namespace,
    name: str,
    shape: Callable[[Recipe], Recipe] | None = None,
    *,
    suffix: str = "",
    resume: bool = False,
) -> tuple[Recipe, Path]:
    """The recipe with the command line's changes, and the folder of its run.

    The changes are applied again after ``shape``, so that values set by hand win. ``suffix`` ends
    the default name of the folder. With ``resume`` an existing run is continued with its own
    recipe; ``name`` and ``shape`` are only compared with it.

    Raises:
        UserError: there is no such recipe; or ``--resume`` was given, and there is no such run, or
            it was started with other values than the command line asks for.
    """
    from glassmind.runs.folder import holds_run, require_free
    from glassmind.runs.recipe import read_recipe

    is_run = bool(name) and (Path(name) / "recipe.toml").is_file()
    folder: Path | None = args.run_folder
    if folder is None and is_run and args.resume:
        folder = Path(name)
    if folder is None:
        if not name:
            raise UserError("say which run to continue: --run FOLDER --resume")
        folder = Path("runs") / f"{changed(args, read_recipe(name)).name}{suffix}"
    if resume and holds_run(folder):
        return _resumed(args, folder, "" if folder == Path(name) else name), folder
    if args.resume:
        require_free(folder, resume=True)
        raise UserError(
            f"there is no run in {folder} to continue: name its folder, or start one without "
            "--resume"
        )
    if not name:
        raise UserError("no recipe was given: give its name, a TOML file or a run's folder")
    recipe = changed(args, read_recipe(name))
    if shape is not None:
        recipe = changed(args, shape(recipe))
    return recipe, folder


def _resumed(args: argparse.Namespace, folder: Path, name: str) -> Recipe:
    """The recipe of the run in ``folder``, checked against the command line. If the recipe called
    ``name`` has other values, a note lists them."""
    from glassmind.cli.console import console
    from glassmind.runs.folder import differences
    from glassmind.runs.recipe import read_recipe

    stored = read_recipe(str(folder))
    other = "leave that out, since --resume continues with the run's own recipe"
    if asked := differences(stored, changed(args, stored)):
        raise UserError(f"{folder} was started with another {asked[0]}: {other}")
    depth = getattr(args, "depth", None)
    if depth is not None and depth != stored.model.n_layers:
        raise UserError(
            f"{folder} was started at depth {stored.model.n_layers}, not {depth}: {other}"
        )
    if not name:
        return stored
    named = changed(args, read_recipe(name))
    if named.name != stored.name:
        raise UserError(
            f"{folder} is a run of the recipe {stored.name}, not of {named.name}: name its own, or "
            "another folder by --run"
        )
    if depth is None and (found := differences(named, stored)):
        more = f" and {len(found) - MOST_DIFFERENCES} more" * (len(found) > MOST_DIFFERENCES)
        console().print(
            f"{folder} continues with its own recipe, which differs from {name} in "
            f"{', '.join(found[:MOST_DIFFERENCES])}{more}",
            style="dim",
        )
    return stored


def changed(args: argparse.Namespace, recipe: Recipe) -> Recipe:
    """``recipe`` changed by ``--set``, ``--track``, ``--seed``, and the options for the user's own
    data if the verb has them."""
    overrides = list(args.overrides)
    if args.trackers:
        named = ",".join(args.trackers)
        overrides += [f"train.trackers={named}", f"verifier.train.trackers={named}"]
    recipe = apply_overrides(recipe, overrides)
    if "columns" in args:
        recipe = with_data_options(args, recipe)
    return recipe if args.seed is None else replace(recipe, seed=args.seed)


def dial(args: argparse.Namespace, recipe: Recipe) -> Recipe:
    """The recipe shaped by ``--depth``; with ``--minutes`` alone, before the measurement."""
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
    processes: int,
) -> Recipe:
    """The recipe of a new run shaped by ``--minutes``; ``asked`` is the recipe shaped by
    ``--depth`` alone."""
    from glassmind.pipeline.time_budget import require_data, within
    from glassmind.runs.folder import require_free
    from glassmind.runs.recipe import read_recipe
    from glassmind.train.watching.trackers import require_trackers

    if processes > 1:
        raise UserError(
            "--minutes can only be measured in one process: under torchrun give --depth and "
            "--set train.steps instead"
        )
    require_free(folder, resume=False)
    require_trackers(asked.train.trackers)
    require_data(asked)
    finish = partial(changed, args)
    recipe = finish(read_recipe(args.recipe))
    return within(recipe, args.minutes, args.depth, finish, device=device, progress=progress)


def choose_device(args: argparse.Namespace) -> torch.device:
    """The requested device; for ``auto`` or none, a GPU if there is one. Also sets the threads."""
    import torch

    if args.threads:
        torch.set_num_threads(args.threads)
        os.environ["OMP_NUM_THREADS"] = str(args.threads)  # so that calibration tries no other
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
    """The model's sampling settings, with the changes of the command line."""
    from glassmind.runs.overrides import replace_many

    wishes = (
        ("samples", args.samples),
        ("temperature", args.temperature),
        ("max_new_tokens", args.max_tokens),
        ("calculator", args.calculator),
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
    from glassmind.cli.console import console, out, print_json, say_left_out
    from glassmind.evaluate.ladder.table import print_ladder
    from glassmind.pipeline.ladder import finished_ladder
    from glassmind.serialization import encode

    ladder = finished_ladder(run)
    if args.json:
        print_json(encode(ladder))
    else:
        say_left_out(print_ladder(ladder, out()))
    console().print(f"The report is {run.path / 'report.html'}")
