"""A single training run: pretrain on a text, or teach one style of answering.

This is what ``glassmind train`` runs. The result is a run's folder that ``ask``, ``eval`` and
``load`` can open.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch

from glassmind.llm.familiarity import save_familiarity
from glassmind.pipeline.finetune import fine_tune
from glassmind.pipeline.forecast import Forecast
from glassmind.pipeline.prepare import make_slices, run_tokenizer, training_rows, validation_rows
from glassmind.pipeline.pretraining import run_pretraining
from glassmind.pipeline.stages import STYLES, Job, train_language_model
from glassmind.progress import Progress, Silent
from glassmind.runs.folder import RunFolder, open_run
from glassmind.runs.recipe import Recipe, recipe_toml
from glassmind.train.processes.process_group import ProcessGroup
from glassmind.train.watching.trackers import require_trackers


def run_training(
    recipe: Recipe,
    folder: Path,
    *,
    resume: bool = False,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
    group: ProcessGroup | None = None,
) -> RunFolder:
    """Train the one model the recipe describes into ``folder``.

    If there are several processes (``group``), the first one writes the folder.

    Raises:
        UserError: the recipe or its data cannot be used, or ``folder`` holds something else.
    """
    watcher: Progress = Forecast(progress or Silent())
    device, group = torch.device(device), group or ProcessGroup()
    require_trackers(recipe.train.trackers)
    group.require_same(recipe_toml(recipe), "recipe")
    group.check_config(recipe.train)
    if recipe.start or recipe.lora.rank or recipe.objective not in ("sft", "pretrain"):
        return fine_tune(
            recipe, folder, resume=resume, device=device, progress=watcher, group=group
        )
    if recipe.objective == "pretrain":
        return run_pretraining(
            recipe, folder, resume=resume, device=device, progress=watcher, group=group
        )
    slices = make_slices(recipe, watcher)
    with group.first_process_first():
        run = (
            open_run(folder, recipe, resume=resume, warn=watcher.end)
            if group.is_first
            else RunFolder(folder)
        )
        tokenizer = run_tokenizer(run, recipe, slices.train)
        if group.is_first:
            save_familiarity(run.path / "familiarity.json", slices.train)
    job = Job(run, recipe, tokenizer, device, watcher, group)
    stage = next(name for name, style in STYLES.items() if style == recipe.style)
    make_rows = partial(training_rows, recipe, tokenizer, slices.train, recipe.style)
    held_out = validation_rows(recipe, tokenizer, slices.validation, recipe.style)
    train_language_model(job, stage, make_rows, held_out)
    return run
