"""Fine-tuning: go on from a finished model.

``start`` in a recipe names the model: a run, the model that comes with the package, a folder of
Hugging Face, a GGUF file. Then any objective trains it further, all of it, part of it
(``finetune.freeze``), or a low-rank change of it (``lora``):

    pretrain   more text                           (this file)
    sft        problems in our own format          (this file; a model of our own)
    chat       conversations                       (pipeline/chat_tuning.py)
    classify   texts with labels                   (pipeline/classify.py)

A model of our own that goes on as what it was is saved as before. What has learned to chat or to
classify is saved as a folder of Hugging Face, right in the run's folder, with every change merged
into the weights: the run can be asked, converted, started from again, and opened by other programs.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import nn

from glassmind.data.loader import RowLoader, Rows
from glassmind.errors import UserError
from glassmind.interop.huggingface import save_folder
from glassmind.interop.pretrained import Pretrained
from glassmind.pipeline.adapters import keep_adapter
from glassmind.pipeline.ask import save_familiarity
from glassmind.pipeline.convert import is_own, load_any
from glassmind.pipeline.prepare import make_slices, training_rows, validation_rows
from glassmind.pipeline.stages import STYLES
from glassmind.pipeline.text_rows import begun, text_rows
from glassmind.progress import Progress
from glassmind.runs.folder import RunFolder, open_run
from glassmind.runs.models import load, save_model
from glassmind.runs.recipe import Recipe
from glassmind.runs.results import Validation
from glassmind.serialization import write_record
from glassmind.tokenize import save
from glassmind.tokenize.composed.tokenizer import ComposedTokenizer
from glassmind.train import (
    Objective,
    Pretrain,
    SupervisedFineTuning,
    Trainer,
    validation_loss,
)
from glassmind.train.freezing import freeze
from glassmind.train.lora import add_lora, remove_lora


@dataclass(frozen=True)
class Tuning:
    """One fine-tuning under way."""

    run: RunFolder
    recipe: Recipe
    device: torch.device
    progress: Progress
    stage: str

    def prepare(self, module: nn.Module) -> None:
        """Wrap and freeze what the recipe says, with the run's seed."""
        torch.manual_seed(self.recipe.seed)
        if self.recipe.lora.rank:
            add_lora(module, self.recipe.lora)
        freeze(module, self.recipe.finetune.freeze)

    def train(
        self,
        objective: Objective,
        rows: Rows,
        validate: Callable[[], float] | None = None,
    ) -> None:
        """Train (or resume) the objective; a low-rank change is then kept and merged."""
        config = self.recipe.train
        Trainer(
            objective,
            RowLoader(rows, min(config.batch_rows, len(rows)), self.recipe.seed),
            config,
            stage=self.stage,
            folder=self.run.path,
            device=self.device,
            progress=self.progress,
            validate=validate,
        ).train()
        if self.recipe.lora.rank:
            keep_adapter(self.run.path, objective.module, self.recipe)
            remove_lora(objective.module)

    def forget_checkpoints(self) -> None:
        """Drop what only served to resume."""
        shutil.rmtree(self.run.path / "checkpoints" / self.stage, ignore_errors=True)


def fine_tune(
    recipe: Recipe, folder: Path, *, resume: bool, device: torch.device, progress: Progress
) -> RunFolder:
    """Train the model at ``recipe.start`` further, into the run ``folder``.

    Raises:
        UserError: there is no such model, it or the data cannot be used for the objective, or
            ``folder`` holds something else.
    """
    if not recipe.start:
        what = "lora.rank is for" if recipe.lora.rank else f"objective {recipe.objective!r} needs"
        raise UserError(
            f"{what} a finished model to start from: set start to a run's folder, a Hugging Face "
            "folder, a .gguf file, smollm2 or word-problems"
        )
    if recipe.objective == "classify":
        from glassmind.pipeline.classify import train_classifier

        return train_classifier(recipe, folder, resume=resume, device=device, progress=progress)
    if recipe.objective == "chat":
        from glassmind.pipeline.chat_tuning import tune_chats

        return tune_chats(recipe, folder, resume=resume, device=device, progress=progress)
    if recipe.objective == "pretrain":
        return _read_on(recipe, folder, resume=resume, device=device, progress=progress)
    if not is_own(recipe.start):
        raise UserError(
            f"{recipe.start} was not made by Glassmind, so it lacks the special tokens of its "
            'chains: set objective = "chat", which tells the problems as conversations'
        )
    return _teach_on(recipe, folder, resume=resume, device=device, progress=progress)


def with_model_of(recipe: Recipe, pretrained: Pretrained) -> Recipe:
    """The recipe with the model it really trains.

    Raises:
        UserError: a row has more tokens than that model reads.
    """
    config = pretrained.model.config
    if recipe.train.row_tokens > config.max_tokens:
        raise UserError(
            f"train.row_tokens ({recipe.train.row_tokens}) exceeds the context of {recipe.start}, "
            f"{config.max_tokens} tokens: lower it"
        )
    return replace(recipe, model=config)


def publish(pretrained: Pretrained, run: RunFolder) -> None:
    """Make the run's folder a folder of Hugging Face too; config.json comes last, so one that has
    it is complete."""
    temporary = run.path / ".model"
    shutil.rmtree(temporary, ignore_errors=True)
    save_folder(pretrained, temporary)
    for file in sorted(temporary.iterdir(), key=lambda file: file.name == "config.json"):
        file.replace(run.path / file.name)
    temporary.rmdir()


def is_published(run: RunFolder) -> bool:
    return (run.path / "config.json").is_file()


def tokenizer_of(pretrained: Pretrained) -> ComposedTokenizer:
    """The model's tokenizer.

    Raises:
        UserError: it has none.
    """
    if pretrained.tokenizer is None:
        raise UserError(f"{pretrained.source} holds no tokenizer, and without one no text is read")
    return pretrained.tokenizer


def train_and_measure(
    tuning: Tuning,
    objective: Pretrain,
    rows: Rows,
    validate: Callable[[], float] | None,
    n_held_out: int,
    often: Callable[[], float] | None = None,
) -> None:
    """Train; note the held-out loss before and after in ``validation.json``.

    ``often`` is asked for it on the way, where ``validate`` would take too long.
    """
    objective.module.to(tuning.device)
    before = validate() if validate else None
    tuning.train(objective, rows, often or validate)
    if validate and before is not None:
        after = validate()  # of the merged weights
        found = Validation(after, before=before, n=n_held_out)
        write_record(tuning.run.path / "validation.json", found)
        tuning.progress.end(
            f"validation loss {after:.4f} nats a token ({before:.4f} before) on {n_held_out} "
            "held-out examples"
        )


# ---------------------------------------------------------------------- problems, and more text


def _teach_on(
    recipe: Recipe, folder: Path, *, resume: bool, device: torch.device, progress: Progress
) -> RunFolder:
    """Train a model of our own on problems; it stays what it is."""
    loaded = load(recipe.start)
    recipe = with_model_of(recipe, load_any(recipe.start))
    model, tokenizer = loaded.model, loaded.tokenizer
    stage = next(name for name, style in STYLES.items() if style == recipe.style)
    slices = make_slices(recipe)
    rows = training_rows(recipe, tokenizer, slices.train, recipe.style)
    held = validation_rows(recipe, tokenizer, slices.validation, recipe.style)
    run = open_run(folder, recipe, resume=resume)
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


def _read_on(
    recipe: Recipe, folder: Path, *, resume: bool, device: torch.device, progress: Progress
) -> RunFolder:
    """Continue the pretraining of a model, of our own or from elsewhere, on more text."""
    started = load_any(recipe.start)
    own = load(recipe.start) if is_own(recipe.start) else None
    recipe = with_model_of(recipe, started)
    with begun(folder, recipe, resume=resume) as run:
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
