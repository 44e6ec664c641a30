"""Fine-tuning on conversations: only the tokens of the assistant's turns are learned."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from glassmind.data.batches.columns import COMPLETION
from glassmind.data.batches.packing import pack
from glassmind.data.chat_encoding import ChatDocuments
from glassmind.data.chats import Chat, load_chats, problem_chat, split_chats
from glassmind.errors import UserError
from glassmind.pipeline.answer_ends import ended_documents
from glassmind.pipeline.chat_format import ChatFormat
from glassmind.pipeline.convert import load_any
from glassmind.pipeline.prepare import make_slices
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
from glassmind.runs.folder import RunFolder, open_run
from glassmind.runs.recipe import Recipe
from glassmind.train import SupervisedFineTuning


def tune_chats(
    recipe: Recipe, folder: Path, *, resume: bool, device: torch.device, progress: Progress
) -> RunFolder:
    started = load_any(recipe.start)
    recipe = with_model_of(recipe, started)
    tokenizer = tokenizer_of(started)
    chat = ChatFormat.of(recipe, started)
    training, held_out = _chats(recipe, progress)

    def documents(chats: list[Chat]) -> ChatDocuments:
        return ended_documents(
            chats,
            tokenizer,
            chat.template,
            chat.end,
            most_tokens=recipe.train.row_tokens,
            turns=recipe.chats.turns,
            stop_ids=started.stop_ids,
        )

    learned, measured = documents(training), documents(held_out)
    if not learned.documents:
        raise UserError(
            f"none of the {len(training)} conversations has an answer that ends within "
            f"{recipe.train.row_tokens} tokens: raise train.row_tokens"
        )
    run = open_run(folder, recipe, resume=resume, warn=progress.end)
    if is_published(run):
        return run
    tuning = Tuning(run, recipe, device, progress, "chat")
    progress.end(_counted(len(training), learned, recipe.train.row_tokens))
    if not chat.end.written:
        progress.end(chat.end.explanation(chat.template, tokenizer))
    objective = SupervisedFineTuning(started.model)
    tuning.prepare(started.model)
    rows = pack(learned.documents, recipe.train.row_tokens, pad_id=0)
    held = None
    if measured.documents:
        held = pack(measured.documents, recipe.train.row_tokens, pad_id=0)
    train_and_measure(tuning, objective, rows, held, len(held_out))
    publish(chat.applied(replace(started, model=started.model.cpu(), name=run.name)), run)
    tuning.forget_checkpoints()
    return run


def _chats(recipe: Recipe, progress: Progress) -> tuple[list[Chat], list[Chat]]:
    """Training and validation conversations: the file's, or the generated problems."""
    config = recipe.chats
    if config.file:
        training, held_out = split_chats(
            load_chats(config.file, on_bad_row=recipe.on_bad_row, say=progress.end),
            recipe.seed,
            config.validation_fraction,
        )
        if not training:
            raise UserError(f"{config.file} has too few conversations: none is left to train on")
        return training, held_out
    slices = make_slices(recipe, progress)
    return [problem_chat(p) for p in slices.train], [problem_chat(p) for p in slices.validation]


def _counted(n_chats: int, found: ChatDocuments, most: int) -> str:
    n_learned = sum(int(document[COMPLETION].sum()) for document in found.documents)
    n_tokens = sum(map(len, found.documents))
    sentence = f"{n_chats:,} conversations, {n_learned:,} of {n_tokens:,} tokens learned"
    if found.too_long:
        sentence += f"; {found.too_long:,} answers end after {most} tokens and were left out"
    return sentence


FINE_TUNING = FineTuning(tune_chats)
