"""Pretraining: from text on the disk to a model that continues it.

rows       the text in tokens, on the disk (``text_rows``)
train      on rows read from there
measure    the loss on the validation part, in nats per token and bits per byte
"""

from __future__ import annotations

import math
from pathlib import Path

import torch

from glassmind.data.batches.loader import RowLoader
from glassmind.errors import UserError
from glassmind.pipeline.stages import Job, train_language_model
from glassmind.pipeline.text_rows import begun, text_rows
from glassmind.progress import Progress
from glassmind.runs.folder import RunFolder
from glassmind.runs.recipe import Recipe
from glassmind.runs.results import Validation
from glassmind.serialization import write_record
from glassmind.tokenize import load
from glassmind.train import Pretrain, validation_loss
from glassmind.train.processes.process_group import ProcessGroup


def run_pretraining(
    recipe: Recipe,
    folder: Path,
    *,
    resume: bool,
    device: torch.device,
    progress: Progress,
    group: ProcessGroup,
) -> RunFolder:
    """Pretrain the recipe's model on its text into ``folder``.

    Raises:
        UserError: the recipe or its text cannot be used, or ``folder`` holds something else.
    """
    if recipe.train.row_tokens > recipe.model.max_tokens:
        raise UserError(
            f"train.row_tokens ({recipe.train.row_tokens}) exceeds the model's context, "
            f"model.max_tokens ({recipe.model.max_tokens}): lower the first or raise the second"
        )
    with (
        group.first_process_first(),
        begun(folder, recipe, progress, resume=resume, first=group.is_first) as run,
    ):
        rows, held_out = text_rows(run, recipe, progress)
        RowLoader(rows, recipe.train.batch_rows, recipe.seed)  # refuses too few rows
    job = Job(run, recipe, load(run.path / "tokenizer.json"), device, progress, group)
    sample = None if held_out is None else held_out.sample
    model = train_language_model(job, "pretrain", lambda: rows, sample)
    if not group.is_first:
        return run
    if held_out is not None:
        loss = validation_loss(Pretrain(model), held_out.rows, device)
        text = held_out.shard
        bits = loss * text.count / math.log(2) / text.bytes
        found = Validation(loss, bits, tokens=text.count, bytes=text.bytes)
        write_record(run.path / "validation.json", found)
        progress.end(f"validation loss {loss:.4f} nats a token, {bits:.4f} bits a byte")
    return run
