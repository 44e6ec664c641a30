"""Test the dial: train several depths, and see whether their losses lie on one line.

Every size is an ordinary run in a separate folder (``depth-3-seed-0``), so an interrupted scaling
continues where it stopped, and each point can be opened, asked and repeated by itself. The measured
quantity is the loss on held-out data after the last step: bits per byte for a text, nats per
learned token for problems.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from glassmind.errors import UserError
from glassmind.evaluate.diagnosis.stage_figures import smoothed
from glassmind.evaluate.run_files import read_metrics
from glassmind.evaluate.scaling.fit import FEWEST_SIZES, ScalingPoint, fit_scaling, hold_out
from glassmind.evaluate.scaling.page import Scaling, scaling_record, write_scaling_page
from glassmind.model.memory_plan import training_flops
from glassmind.pipeline.time_budget import vocabulary_size
from glassmind.pipeline.training import run_training
from glassmind.progress import Progress, Silent
from glassmind.runs.dial import (
    TOKENS_PER_PARAMETER,
    batch_tokens,
    dialled,
    require_new,
    scaling_parameters,
)
from glassmind.runs.folder import RunFolder, open_run
from glassmind.runs.recipe import Recipe
from glassmind.runs.results import Validation
from glassmind.serialization import read_record, write_record
from glassmind.tokenize import load

DEPTHS = (2, 3, 4, 5)

SETTINGS = "settings.json"
Finish = Callable[[Recipe], Recipe]


@dataclass(frozen=True, slots=True)
class Settings:
    """``settings.json``: what a scaling was begun with, for ``--resume``."""

    recipe: Recipe
    depths: str
    seeds: int
    tokens_per_parameter: float
    overrides: tuple[str, ...]
    trackers: tuple[str, ...]
    seed: int | None


def run_scaling(
    recipe: Recipe,
    folder: Path,
    depths: Sequence[int] = DEPTHS,
    *,
    seeds: int = 1,
    tokens_per_parameter: float = TOKENS_PER_PARAMETER,
    finish: Finish = lambda recipe: recipe,
    begin: Callable[[], None] = lambda: None,
    resume: bool = False,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> Scaling:
    """Train every depth with every seed into ``folder``, fit the law, write ``scaling.html``.

    ``finish`` applies the changes of the command line: to the recipe, and once more to the dial's
    result, so that they override it.

    ``begin`` is called when everything is checked and nothing is trained yet.

    Raises:
        UserError: too few depths, a recipe that measures nothing, a folder that is taken.
    """
    watcher = progress or Silent()
    recipes = _recipes(recipe, depths, seeds, tokens_per_parameter, finish)
    # The settings alone are what an attempt leaves whose first run could not begin.
    free = folder.is_dir() and all(path.name == SETTINGS for path in folder.iterdir())
    if not resume and folder.exists() and not free:
        raise UserError(
            f"{folder} already holds something: go on with a scaling by --resume, or name another "
            "folder by --run"
        )
    folder.mkdir(parents=True, exist_ok=True)
    begin()
    points, curves = [], {}
    for (depth, seed), each in recipes.items():
        run = _trained(each, folder / f"depth-{depth}-seed-{seed}", device, watcher)
        point = _point(run, each, depth, seed)
        points.append(point)
        if depth not in curves:
            curves[depth] = _curve(run)
        watcher.end(f"depth {depth}, seed {seed}: {_unit(recipe)} {point.loss:.4f}")
    scaling = Scaling(
        name=recipe.name,
        unit=_unit(recipe),
        tokens_per_parameter=tokens_per_parameter,
        points=tuple(points),
        curves=curves,
        fit=fit_scaling(points),
        held_out=hold_out(points),
    )
    write_record(folder / "scaling.json", scaling_record(scaling))
    write_scaling_page(scaling, folder / "scaling.html")
    return scaling


def _recipes(
    recipe: Recipe, depths: Sequence[int], seeds: int, ratio: float, finish: Finish
) -> dict[tuple[int, int], Recipe]:
    """The recipe of every run, all of them checked before the first one begins."""
    recipe = finish(recipe)
    require_new(recipe)
    sizes = sorted(set(depths))
    if len(sizes) < FEWEST_SIZES:
        raise UserError(
            f"a law needs at least {FEWEST_SIZES} different depths, the largest to be predicted "
            f"from the others, not {len(sizes)}: give --depths 2,3,4,5"
        )
    vocab_size = vocabulary_size(recipe)
    found = {}
    for depth in sizes:
        shaped = finish(dialled(recipe, depth, tokens_per_parameter=ratio, vocab_size=vocab_size))
        pretrain = shaped.pretrain
        if shaped.objective == "pretrain" and not (
            pretrain.validation_file or pretrain.validation_fraction
        ):
            raise UserError(
                "there is no held-out text to measure on: set pretrain.validation_fraction, such "
                "as 0.1, or pretrain.validation_file"
            )
        for number in range(seeds):
            seed = shaped.seed + number
            found[depth, seed] = replace(shaped, seed=seed)
    return found


def _trained(
    recipe: Recipe, folder: Path, device: torch.device | str, progress: Progress
) -> RunFolder:
    """The finished run of ``recipe``: trained, resumed, or loaded if it is complete."""
    begun = (folder / "recipe.toml").is_file()
    if begun and _loss(RunFolder(folder)) is not None and any(folder.glob("models/*/model.json")):
        return open_run(folder, recipe, resume=True)  # refuses a run of another recipe
    torch.compiler.reset()  # every run compiles anew, as if it were the only one
    return run_training(recipe, folder, resume=begun, device=device, progress=progress)


def _point(run: RunFolder, recipe: Recipe, depth: int, seed: int) -> ScalingPoint:
    loss = _loss(run)
    if loss is None:
        raise UserError(
            f"{run.path} has no loss on held-out data: the recipe needs some to measure on"
        )
    model = replace(recipe.model, vocab_size=load(run.path / "tokenizer.json").vocab_size)
    tokens = batch_tokens(recipe) * recipe.train.steps
    return ScalingPoint(
        depth=depth,
        seed=seed,
        parameters=scaling_parameters(model, model.vocab_size),
        tokens=tokens,
        compute=training_flops(model, recipe.train.row_tokens) * tokens,
        loss=loss,
    )


def _unit(recipe: Recipe) -> str:
    return "bits a byte" if recipe.objective == "pretrain" else "nats a token"


def _loss(run: RunFolder) -> float | None:
    """The held-out loss after the last step, if it was measured."""
    if (run.path / "validation.json").is_file():
        return read_record(Validation, run.path / "validation.json").bits_per_byte
    rows = read_metrics(run.path / "metrics.jsonl") or ()
    last = run.recipe().train.steps
    return next((m.validation_loss for m in reversed(rows) if m.step == last), None)


def _curve(run: RunFolder) -> list[tuple[float, float]]:
    """(tokens, training loss), each loss averaged with its neighbours."""
    rows = read_metrics(run.path / "metrics.jsonl") or ()
    known = [(m.tokens, m.loss) for m in rows if m.tokens is not None and m.loss is not None]
    values = smoothed([loss for _, loss in known])
    return [(tokens, loss) for (tokens, _), loss in zip(known, values, strict=True)]
