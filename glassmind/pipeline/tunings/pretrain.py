"""Continued pretraining on more text, of Glassmind's own models and of models from elsewhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from glassmind.pipeline.convert import is_own, load_any
from glassmind.pipeline.text_rows import begun, text_rows
from glassmind.pipeline.tuning import (
    FineTuning,
    Tuning,
    is_published,
    publish,
    tokenizer_of,
    train_and_measure,
    with_model_of,
)
from glassmind.progress import Progress
from glassmind.runs.folder import RunFolder
from glassmind.runs.models import load, save_model
from glassmind.runs.recipe import Recipe
from glassmind.tokenize import save
from glassmind.train import Pretrain


def continue_pretraining(
    recipe: Recipe, folder: Path, *, resume: bool, device: torch.device, progress: Progress
) -> RunFolder:
    """Continue the pretraining of a model, Glassmind's own or from elsewhere, on more text.

    Raises:
        UserError: as ``fine_tune``.
    """
    started = load_any(recipe.start)
    own = load(recipe.start) if is_own(recipe.start) else None
    recipe = with_model_of(recipe, started)
    with begun(folder, recipe, progress, resume=resume) as run:
        done = run.model_folder("pretrain") / "model.json"
        if done.is_file() if own else is_published(run):
            return run
        if own is not None:
            save(own.tokenizer, run.path / "tokenizer.json")
        rows, held = text_rows(run, recipe, progress, None if own else tokenizer_of(started))
    tuning = Tuning(run, recipe, device, progress, "pretrain")
    model = started.model if own is None else own.model
    tuning.prepare(model)
    objective = Pretrain(model)
    if held is None:
        train_and_measure(tuning, objective, rows, None, 0)
    else:
        train_and_measure(tuning, objective, rows, held.rows, len(held.rows), often=held.sample)
    if own is not None:
        save_model(run.model_folder("pretrain"), model, own.tokenizer, "pretrain")
    else:
        publish(replace(started, model=model.cpu(), name=run.name), run)
    tuning.forget_checkpoints()
    return run


FINE_TUNING = FineTuning(continue_pretraining)
