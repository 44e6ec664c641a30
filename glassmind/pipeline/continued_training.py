"""Continued training of a finished model that stays what it is: on problems, or on more text."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from glassmind.errors import UserError
from glassmind.llm.familiarity import save_familiarity
from glassmind.pipeline.convert import is_own, load_any
from glassmind.pipeline.prepare import make_slices, training_rows, validation_rows
from glassmind.pipeline.stages import STYLES
from glassmind.pipeline.text_rows import begun, text_rows
from glassmind.pipeline.tuning import (
    Tuning,
    is_published,
    publish,
    tokenizer_of,
    train_and_measure,
    with_model_of,
)
from glassmind.progress import Progress
from glassmind.runs.folder import RunFolder, open_run
from glassmind.runs.models import load, save_model
from glassmind.runs.recipe import Recipe
from glassmind.tokenize import save
from glassmind.train import Pretrain, SupervisedFineTuning, validation_loss


def tune_on_problems(
    recipe: Recipe, folder: Path, *, resume: bool, device: torch.device, progress: Progress
) -> RunFolder:
    """Train a model of our own on problems, in its own format.

    Raises:
        UserError: the model at ``recipe.start`` is not our own, or as ``fine_tune``.
    """
    if not is_own(recipe.start):
        raise UserError(
            f"{recipe.start} was not made by Glassmind, so it lacks the special tokens of its "
            'chains: set objective = "chat", which tells the problems as conversations'
        )
    loaded = load(recipe.start)
    recipe = with_model_of(recipe, load_any(recipe.start))
    model, tokenizer = loaded.model, loaded.tokenizer
    stage = next(name for name, style in STYLES.items() if style == recipe.style)
    slices = make_slices(recipe)
    rows = training_rows(recipe, tokenizer, slices.train, recipe.style)
    held = validation_rows(recipe, tokenizer, slices.validation, recipe.style)
    run = open_run(folder, recipe, resume=resume, warn=progress.end)
    if (run.model_folder(stage) / "model.json").is_file():
        return run
    save(tokenizer, run.path / "tokenizer.json")
    save_familiarity(run.path / "familiarity.json", slices.train)
    tuning = Tuning(run, recipe, device, progress, stage)
    tuning.prepare(model)
    objective = SupervisedFineTuning(model)
    validate = partial(validation_loss, objective, held, device) if held is not None else None
    train_and_measure(tuning, objective, rows, validate, 0 if held is None else len(held))
    save_model(run.model_folder(stage), model, tokenizer, stage)
    tuning.forget_checkpoints()
    return run


def continue_pretraining(
    recipe: Recipe, folder: Path, *, resume: bool, device: torch.device, progress: Progress
) -> RunFolder:
    """Continue the pretraining of a model, of our own or from elsewhere, on more text.

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
    measure = sample = None
    if held is not None:
        measure = partial(validation_loss, objective, held.rows, device)
        sample = partial(validation_loss, objective, held.sample, device)
    n_held_out = 0 if held is None else len(held.rows)
    train_and_measure(tuning, objective, rows, measure, n_held_out, often=sample)
    if own is not None:
        save_model(run.model_folder("pretrain"), model, own.tokenizer, "pretrain")
    else:
        publish(replace(started, model=model.cpu(), name=run.name), run)
    tuning.forget_checkpoints()
    return run
