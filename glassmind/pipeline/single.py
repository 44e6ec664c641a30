"""One training run by itself: pretrain on a text, or teach one style of answering.

What ``glassmind train`` does. The result is a run's folder that ``ask``, ``eval`` and ``load``
open.
"""

from __future__ import annotations

import gzip
import lzma
import math
from functools import partial
from pathlib import Path

import numpy as np
import torch

from glassmind.data.packing import PackedRows, stream
from glassmind.errors import UserError
from glassmind.pipeline.ask import save_familiarity
from glassmind.pipeline.prepare import make_slices, run_tokenizer, training_rows, validation_rows
from glassmind.pipeline.stages import STYLES, Job, train_language_model
from glassmind.progress import Progress, Silent
from glassmind.runs.files import write_json
from glassmind.runs.folder import RunFolder, open_run
from glassmind.runs.recipe import Recipe
from glassmind.tokenize import load, save, train_bpe, train_char
from glassmind.train import Pretrain, validation_loss

TOKENIZER_CHARACTERS = 4_000_000  # enough text to learn merges from; more changes little


def run_training(
    recipe: Recipe,
    folder: Path,
    *,
    resume: bool = False,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> RunFolder:
    """Train the one model the recipe describes into ``folder``.

    Raises:
        UserError: the recipe or its data cannot be used, or ``folder`` holds something else.
    """
    watcher = progress or Silent()
    if recipe.objective == "pretrain" and not recipe.pretrain.file:
        raise UserError("a recipe that pretrains needs a text: set pretrain.file")
    if recipe.objective == "pretrain":
        if recipe.train.row_tokens > recipe.model.max_tokens:
            raise UserError(
                f"train.row_tokens ({recipe.train.row_tokens}) exceeds the model's context, "
                f"model.max_tokens ({recipe.model.max_tokens}): lower the one or raise the other"
            )
        text = read_text(recipe.pretrain.file)
        run = open_run(folder, recipe, resume=resume)
        _pretrain(run, recipe, text, torch.device(device), watcher)
        return run
    slices = make_slices(recipe)
    run = open_run(folder, recipe, resume=resume)
    tokenizer = run_tokenizer(run, recipe, slices.train)
    save_familiarity(run.path / "familiarity.json", slices.train)
    job = Job(run, recipe, tokenizer, torch.device(device), watcher)
    stage = next(name for name, style in STYLES.items() if style == recipe.style)
    make_rows = partial(training_rows, recipe, tokenizer, slices.train, recipe.style)
    held_out = validation_rows(recipe, tokenizer, slices.validation, recipe.style)
    train_language_model(job, stage, make_rows, held_out)
    return run


def read_text(path: str) -> str:
    """A UTF-8 text, unpacked if its name ends in ``.xz`` or ``.gz``.

    Raises:
        UserError: it is missing, empty, or not text.
    """
    file = Path(path)
    if not file.is_file():
        raise UserError(f"there is no text file {path}")
    try:
        packed = file.read_bytes()
        if file.suffix == ".xz":
            packed = lzma.decompress(packed)
        elif file.suffix == ".gz":
            packed = gzip.decompress(packed)
        text = packed.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text: {error}") from None
    except (lzma.LZMAError, EOFError, gzip.BadGzipFile) as error:
        raise UserError(f"{path} cannot be unpacked: {error}") from None
    if not text.strip():
        raise UserError(f"{path} is empty: give a text to learn from")
    return text


def _pretrain(
    run: RunFolder, recipe: Recipe, text: str, device: torch.device, progress: Progress
) -> None:
    cut = int(len(text) * (1 - recipe.pretrain.validation_fraction))
    path = run.path / "tokenizer.json"
    if not path.is_file():
        config = recipe.tokenizer
        if config.file:
            save(load(config.file), path)
        elif config.kind == "char":
            save(train_char([text[:cut]]), path)
        else:
            save(train_bpe([text[: min(cut, TOKENIZER_CHARACTERS)]], config.vocab_size), path)
    tokenizer = load(path)
    job = Job(run, recipe, tokenizer, device, progress)

    def make_rows() -> PackedRows:
        return stream(np.array(tokenizer.encode(text[:cut]), np.int32), recipe.train.row_tokens)

    model = train_language_model(job, "pretrain", make_rows)
    held = text[cut:]
    ids = np.array(tokenizer.encode(held), np.int32)
    if len(ids) >= recipe.train.row_tokens:
        loss = validation_loss(Pretrain(model), stream(ids, recipe.train.row_tokens), device)
        n_bytes = len(held.encode("utf-8"))
        result = {
            "validation_loss": loss,
            "bits_per_byte": loss * len(ids) / math.log(2) / n_bytes,
            "tokens": len(ids),
            "bytes": n_bytes,
        }
        write_json(run.path / "validation.json", result)
        progress.end(
            f"validation loss {loss:.4f} nats a token, {result['bits_per_byte']:.4f} bits a byte"
        )
