"""The commands of the command line as functions, which take names of models and recipes.

    glassmind.train("demo", "runs/mine", settings={"train.steps": 300})
    glassmind.evaluate("test", "runs/mine", limit=100)
    glassmind.ladder("demo", "runs/whole")

They call ``run_training``, ``grade_task`` and ``run_ladder``, which take a ``Recipe``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch

from glassmind.evaluate.compare.runs import Comparison, compare_runs
from glassmind.evaluate.report.page import write_report
from glassmind.evaluate.run_files import Ladder
from glassmind.interop.load import is_pretrained, load_pretrained
from glassmind.interop.pretrained import Pretrained
from glassmind.llm.opening import weights_at
from glassmind.pipeline.evaluate import grade_task
from glassmind.pipeline.ladder import finished_ladder, run_ladder
from glassmind.pipeline.training import run_training
from glassmind.progress import Progress
from glassmind.runs.folder import RunFolder
from glassmind.runs.models import SHIPPED, Loaded
from glassmind.runs.models import load as load_run
from glassmind.runs.overrides import replace_many
from glassmind.runs.recipe import Recipe, read_recipe

Settings = Mapping[str, object]
"""Changes of a recipe, by dotted keys as in ``--set``: ``{"train.steps": 300}``."""


def load(
    source: str | Path = SHIPPED, stage: str = "", device: torch.device | str = "cpu"
) -> Loaded | Pretrained:
    """The parts of a model: ``model`` and ``tokenizer``; of a run also ``verifier`` and ``recipe``.

    ``source`` is a run's folder, the shipped model's name, or any other model with local weights
    that ``open_llm`` takes: ``smollm2``, a GGUF file, a Hugging Face folder, a pulled name.

    Raises:
        UserError: there is no such model, it is damaged, or it is an address.
    """
    path = weights_at(str(source))
    if not is_pretrained(path):
        return load_run(path, stage, device)
    pretrained = load_pretrained(path)
    pretrained.model.to(device)
    return pretrained


def train(
    recipe: str | Path | Recipe,
    folder: str | Path | None = None,
    *,
    settings: Settings | None = None,
    seed: int | None = None,
    resume: bool = False,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> RunFolder:
    """Train the one model of a recipe, as ``glassmind train`` does, and return its run's folder.

    ``recipe`` is a recipe, the name of one that comes with the package, a TOML file or a run's
    folder; ``settings`` changes it. ``folder`` is ``runs/NAME-train`` by default.

    Raises:
        UserError: the recipe or its data cannot be used, or ``folder`` holds something else.
    """
    chosen = _recipe(recipe, settings, seed)
    target = Path(folder) if folder is not None else Path("runs") / f"{chosen.name}-train"
    return run_training(chosen, target, resume=resume, device=device, progress=progress)


def ladder(
    recipe: str | Path | Recipe = "",
    folder: str | Path | None = None,
    *,
    problems: str | Path = "",
    start: str | Path = "",
    settings: Settings | None = None,
    seed: int | None = None,
    resume: bool = False,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> Ladder:
    """Train and measure the whole ladder, as ``glassmind ladder`` does, and return its table.

    ``problems`` is a JSONL file, ``gsm8k`` or ``math``; ``start`` is a finished model to start
    from, also one from elsewhere (``smollm2``). The run and its report are written to ``folder``,
    by default ``runs/NAME``.

    Raises:
        UserError: the recipe or its problems cannot be used, or ``folder`` holds something else.
    """
    usual = "pretrained" if start else "own" if problems else "demo"
    chosen = _recipe(recipe or usual, settings, seed)
    name = chosen.name
    if start:
        chosen = replace(chosen, start=weights_at(str(start)))
    if problems:
        chosen = replace(chosen, problems=replace(chosen.problems, file=str(problems)))
        name = Path(problems).stem
    target = Path("runs") / name if folder is None else Path(folder)
    run = run_ladder(chosen, target, resume=resume, device=device, progress=progress)
    return finished_ladder(run)


evaluate = grade_task


def compare(*folders: str | Path) -> Comparison:
    """Two or more training runs side by side, as ``glassmind compare`` prints them.

    Raises:
        UserError: a folder is not a run's, or the runs have no stage in common.
    """
    return compare_runs([Path(folder) for folder in folders])


def report(folder: str | Path) -> Path:
    """Write a run's ``report.html`` again, and return its path.

    Raises:
        UserError: the folder is not a run's, or a file in it is damaged.
    """
    return write_report(Path(folder))


def _recipe(recipe: str | Path | Recipe, settings: Settings | None, seed: int | None) -> Recipe:
    chosen = recipe if isinstance(recipe, Recipe) else read_recipe(str(recipe))
    changes = [(key, _written(value)) for key, value in (settings or {}).items()]
    if changes:
        chosen = replace_many(chosen, changes, "settings")
    return chosen if seed is None else replace(chosen, seed=seed)


def _written(value: object) -> str:
    """A setting in the form of the command line."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return ",".join(map(_written, value))
    return str(value)
