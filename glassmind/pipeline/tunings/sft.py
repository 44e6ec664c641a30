"""Supervised fine-tuning of one of Glassmind's own models, on problems in its own format."""

from __future__ import annotations

from pathlib import Path

import torch

from glassmind.errors import UserError
from glassmind.llm.familiarity import save_familiarity
from glassmind.pipeline.convert import is_own, load_any
from glassmind.pipeline.prepare import make_slices, training_rows, validation_rows
from glassmind.pipeline.stages import STYLES, fine_tuning
from glassmind.pipeline.tuning import FineTuning, Tuning, train_and_measure, with_model_of
from glassmind.progress import Progress
from glassmind.runs.folder import RunFolder, open_run
from glassmind.runs.models import load, save_model
from glassmind.runs.recipe import Recipe
from glassmind.tokenize import save


def tune_on_problems(
    recipe: Recipe, folder: Path, *, resume: bool, device: torch.device, progress: Progress
) -> RunFolder:
    """Train one of Glassmind's own models on problems, in its own format.

    Raises:
        UserError: the model at ``recipe.start`` is not Glassmind's own, or as ``fine_tune``.
    """
    if not is_own(recipe.start):
        raise UserError(
            f"{recipe.start} was not made by Glassmind, so it lacks the special tokens of its "
            'chains: set objective = "chat", which teaches the problems as conversations'
        )
    loaded = load(recipe.start)
    recipe = with_model_of(recipe, load_any(recipe.start))
    model, tokenizer = loaded.model, loaded.tokenizer
    stage = next(name for name, style in STYLES.items() if style == recipe.style)
    slices = make_slices(recipe, progress)
    rows = training_rows(recipe, tokenizer, slices.train, recipe.style)
    held = validation_rows(recipe, tokenizer, slices.validation, recipe.style)
    run = open_run(folder, recipe, resume=resume, warn=progress.end)
    if (run.model_folder(stage) / "model.json").is_file():
        return run
    save(tokenizer, run.path / "tokenizer.json")
    save_familiarity(run.path / "familiarity.json", slices.train)
    tuning = Tuning(run, recipe, device, progress, stage)
    tuning.prepare(model)
    objective = fine_tuning(recipe, stage, model)
    train_and_measure(tuning, objective, rows, held, 0 if held is None else len(held))
    save_model(run.model_folder(stage), model, tokenizer, stage)
    tuning.forget_checkpoints()
    return run


FINE_TUNING = FineTuning(tune_on_problems)
