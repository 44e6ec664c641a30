"""The record of a kind of fine-tuning, and the code that all kinds share (see ``tunings``)."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Protocol

import torch
from torch import nn

from glassmind.data.batches.loader import RowLoader, Rows
from glassmind.errors import UserError
from glassmind.interop.huggingface import save_folder
from glassmind.interop.pretrained import Pretrained
from glassmind.pipeline.adapters import keep_adapter
from glassmind.pipeline.announcement import Work, announce, training_work
from glassmind.progress import Progress
from glassmind.runs.folder import RunFolder
from glassmind.runs.recipe import Recipe
from glassmind.runs.results import Validation
from glassmind.serialization import write_record
from glassmind.tokenize.composed.tokenizer import ComposedTokenizer
from glassmind.train import BatchSource, Objective, Pretrain, Trainer, validation_loss
from glassmind.train.freezing import freeze
from glassmind.train.lora import add_lora, remove_lora
from glassmind.train.processes.process_group import ProcessGroup


class Tune(Protocol):
    """Trains the model at ``recipe.start`` further, into the run ``folder``.

    Raises:
        UserError: there is no such model, it or the data cannot be used, or ``folder`` holds
            something else.
    """

    def __call__(
        self,
        recipe: Recipe,
        folder: Path,
        *,
        resume: bool,
        device: torch.device,
        progress: Progress,
    ) -> RunFolder: ...


class TuneTogether(Protocol):
    """``Tune`` in one of several processes, the ``group``; the first one writes the folder."""

    def __call__(
        self,
        recipe: Recipe,
        folder: Path,
        *,
        resume: bool,
        device: torch.device,
        progress: Progress,
        group: ProcessGroup,
    ) -> RunFolder: ...


@dataclass(frozen=True)
class FineTuning:
    """A kind of fine-tuning. ``options`` is the dataclass of ``[options]`` in a recipe; ``None`` if
    the kind has no options of its own. ``together`` trains under torchrun; ``None`` if the kind
    cannot."""

    tune: Tune
    options: type[object] | None = None
    together: TuneTogether | None = None


@dataclass(frozen=True)
class Tuning:
    """A fine-tuning run in progress."""

    run: RunFolder
    recipe: Recipe
    device: torch.device
    progress: Progress
    stage: str
    group: ProcessGroup = field(default_factory=ProcessGroup)

    def prepare(self, module: nn.Module) -> None:
        """Freeze parameters and add LoRA factors as the recipe says, with the run's seed."""
        torch.manual_seed(self.recipe.seed)
        if self.recipe.lora.rank:
            add_lora(module, self.recipe.lora)
        freeze(module, self.recipe.finetune.freeze)

    def loader(self, rows: Rows) -> RowLoader:
        """Batches of the recipe's size from ``rows``, or of all rows if there are fewer."""
        batch_rows = min(self.recipe.train.batch_rows, len(rows))
        return RowLoader(rows, batch_rows, self.recipe.seed)

    def train(
        self,
        objective: Objective,
        source: BatchSource,
        validate: Callable[[], float] | None = None,
        observe: Callable[[int], Mapping[str, float]] | None = None,
    ) -> None:
        """Train (or resume) the objective; a low-rank change is then saved and merged."""
        Trainer(
            objective,
            source,
            self.recipe.train,
            stage=self.stage,
            folder=self.run.path,
            device=self.device,
            progress=self.progress,
            validate=validate,
            observe=observe,
            group=self.group,
        ).train()
        if self.recipe.lora.rank:
            if self.group.is_first:
                keep_adapter(self.run.path, objective.module, self.recipe)
            remove_lora(objective.module)

    def forget_checkpoints(self) -> None:
        """Delete the checkpoints, which are only needed to resume."""
        shutil.rmtree(self.run.path / "checkpoints" / self.stage, ignore_errors=True)


def with_model_of(recipe: Recipe, pretrained: Pretrained) -> Recipe:
    """The recipe with the architecture of the model that it trains.

    Raises:
        UserError: a row has more tokens than that model's context.
    """
    config = pretrained.model.config
    if recipe.train.row_tokens > config.max_tokens:
        raise UserError(
            f"train.row_tokens ({recipe.train.row_tokens}) exceeds the context of {recipe.start}, "
            f"{config.max_tokens} tokens: lower it"
        )
    return replace(recipe, model=config)


def publish(pretrained: Pretrained, run: RunFolder) -> None:
    """Make the run's folder a Hugging Face folder as well. ``config.json`` is written last, so a
    folder that has one is complete."""
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
        raise UserError(f"{pretrained.source} has no tokenizer, which is needed to read text")
    return pretrained.tokenizer


def train_and_measure(
    tuning: Tuning,
    objective: Pretrain,
    rows: Rows,
    held_out: Rows | None,
    n_held_out: int,
    *,
    often: Rows | None = None,
    then: Work | None = None,
) -> None:
    """Train; write the loss on ``held_out`` before and after to ``validation.json``.

    ``often`` are the rows to measure it on during training, where all would take too long. ``then``
    is the work that follows, for the time that is said at the start.
    """
    module = objective.module.to(tuning.device)
    config, measured = tuning.recipe.train, len(held_out or ()) * tuning.recipe.train.row_tokens
    some = measured if often is None else len(often) * config.row_tokens
    work = training_work(config, measured, some) + (then or Work())
    announce(work, module, tuning.progress, "lower train.steps or give less data")

    def loss_on(rows: Rows) -> float:
        return validation_loss(objective, rows, tuning.device)

    before = None if held_out is None else loss_on(held_out)
    during = held_out if often is None else often
    validate = None if during is None else partial(loss_on, during)
    tuning.train(objective, tuning.loader(rows), validate)
    if held_out is not None and before is not None:
        after = loss_on(held_out)  # of the merged weights
        found = Validation(after, before=before, n=n_held_out)
        write_record(tuning.run.path / "validation.json", found)
        tuning.progress.end(
            f"validation loss {after:.4f} nats a token ({before:.4f} before) on {n_held_out} "
            "held-out examples"
        )
