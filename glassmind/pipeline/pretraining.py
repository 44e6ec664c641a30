"""Pretraining: from text on the disk to a model that continues it.

    survey     read everything once: is it text, how much is there, what do the filters take away
    tokenizer  learn it on the training part (or take the recipe's)
    tokens     encode the text into ``tokens/train.bin`` and ``validation.bin`` of the run's folder
    train      on rows read from there
    measure    the loss on the validation part, in nats a token and bits a byte

No step holds more than a few pieces of the text; training reads the ids from the disk.
Each result is kept in the run's folder and found again on resume; once the tokens are there, the
text is no longer needed. A run whose text turns out to be unusable leaves no folder behind.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Generator, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import groupby, takewhile
from operator import itemgetter
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from glassmind.data.filters import Filters, kept
from glassmind.data.loader import RowLoader
from glassmind.data.packing import PackedRows
from glassmind.data.texts import Piece, Texts, find_texts
from glassmind.data.token_shards import (
    BATCH,
    Shard,
    TokenRows,
    mapped_ids,
    open_shard,
    write_shard,
)
from glassmind.errors import UserError
from glassmind.pipeline.stages import Job, train_language_model
from glassmind.progress import Progress
from glassmind.runs.files import require_space, write_json
from glassmind.runs.folder import RunFolder, open_run
from glassmind.runs.recipe import PretrainConfig, Recipe
from glassmind.tokenize import SavedTokenizer, load, save, train_bpe, train_char
from glassmind.tokenize.bulk import cores
from glassmind.train import Pretrain, validation_loss
from glassmind.train.distributed import World

TOKENIZER_CHARACTERS = 4_000_000  # enough text to learn merges from; more changes little
VALIDATION_TOKENS = 16_384  # that the loss is measured on while training; in the end, on all

Part = Literal["train", "validation"]


def run_pretraining(
    recipe: Recipe,
    folder: Path,
    *,
    resume: bool,
    device: torch.device,
    progress: Progress,
    world: World,
) -> RunFolder:
    """Pretrain the recipe's model on its text into ``folder``.

    Raises:
        UserError: the recipe or its text cannot be used, or ``folder`` holds something else.
    """
    if not recipe.pretrain.file:
        raise UserError("a recipe that pretrains needs a text: set pretrain.file")
    if recipe.train.row_tokens > recipe.model.max_tokens:
        raise UserError(
            f"train.row_tokens ({recipe.train.row_tokens}) exceeds the model's context, "
            f"model.max_tokens ({recipe.model.max_tokens}): lower the one or raise the other"
        )
    new = not (folder / "recipe.toml").is_file()
    with world.in_turn():
        run = open_run(folder, recipe, resume=resume) if world.first else RunFolder(folder)
        try:
            tokenizer, shards = _tokens(run, recipe, progress)
            rows = _rows(run, recipe, "train", shards["train"])
            RowLoader(rows, recipe.train.batch_rows, recipe.seed)  # refuses too few rows
        except UserError:
            if new and world.first:
                _forget(run)
            raise
    held_out = shards.get("validation")
    held_out_rows = None
    if held_out is not None and held_out.count >= recipe.train.row_tokens:
        held_out_rows = _rows(run, recipe, "validation", held_out)
    job = Job(run, recipe, tokenizer, device, progress, world)
    sample = held_out_rows and _sample(held_out_rows, VALIDATION_TOKENS // recipe.train.row_tokens)
    model = train_language_model(job, "pretrain", lambda: rows, sample)
    if not world.first:
        return run
    if held_out is not None and held_out_rows is not None:
        loss = validation_loss(Pretrain(model), held_out_rows, device)
        result = {
            "validation_loss": loss,
            "bits_per_byte": loss * held_out.count / math.log(2) / held_out.bytes,
            "tokens": held_out.count,
            "bytes": held_out.bytes,
        }
        write_json(run.path / "validation.json", result)
        progress.end(
            f"validation loss {loss:.4f} nats a token, {result['bits_per_byte']:.4f} bits a byte"
        )
    return run


def _sample(rows: TokenRows, count: int) -> PackedRows:
    """Up to ``count`` rows from everywhere."""
    return rows.take(np.linspace(0, len(rows) - 1, max(1, min(count, len(rows)))).astype(np.int64))


def _forget(run: RunFolder) -> None:
    """Take away the run that was just begun, and nothing else that its folder may hold."""
    for name in ("run.json", "recipe.toml", "tokenizer.json", "data-report.json"):
        (run.path / name).unlink(missing_ok=True)
    shutil.rmtree(run.path / "tokens", ignore_errors=True)
    with suppress(OSError):  # there is something of somebody else's in it
        run.path.rmdir()


def _shard_path(run: RunFolder, part: Part) -> Path:
    return run.path / "tokens" / f"{part}.bin"


def _rows(run: RunFolder, recipe: Recipe, part: Part, shard: Shard) -> TokenRows:
    end = shard.end_of_document if recipe.pretrain.document_mask else None
    ids = mapped_ids(_shard_path(run, part), shard)
    return TokenRows(ids, recipe.train.row_tokens, end_of_document=end)


# ---------------------------------------------------------------------- text to tokens


def _tokens(
    run: RunFolder, recipe: Recipe, progress: Progress
) -> tuple[SavedTokenizer, dict[Part, Shard]]:
    """The run's tokenizer and shards, made where they are not there yet."""
    path, config = run.path / "tokenizer.json", recipe.pretrain
    parts: list[Part] = ["train"]
    if config.validation_file or config.validation_fraction:
        parts.append("validation")
    if path.is_file():
        tokenizer = load(path)
        found = {part: open_shard(_shard_path(run, part), tokenizer) for part in parts}
        if whole := {part: shard for part, shard in found.items() if shard}:
            if len(whole) == len(parts):
                return tokenizer, whole
            progress.end("the tokens in the run's folder are not whole and are made again")
    corpus = _survey(recipe, progress)
    if corpus.filters is not None:
        write_json(run.path / "data-report.json", corpus.filters.report())
        progress.end(corpus.filters.summary())
    if not path.is_file():
        save(_make_tokenizer(recipe, corpus, progress), path)
    tokenizer = load(path)
    shutil.rmtree(run.path / "tokens", ignore_errors=True)  # whatever a kill left there
    shards: dict[Part, Shard] = {}
    with closing(_cut_in_two(corpus.pieces("tokenizing", progress), corpus.cut)) as pieces:
        for part, group in groupby(pieces, key=itemgetter(0)):
            total = (corpus.cut, corpus.characters - corpus.cut)[part != "train"]
            texts = (piece for _, piece in group)
            shards[part] = _write(run, part, texts, tokenizer, total)
    if config.validation_file:
        held_out = _texts(config, config.validation_file)
        with closing(held_out.pieces("tokenizing", progress)) as held:
            shards["validation"] = _write(run, "validation", held, tokenizer, 0)
    return tokenizer, shards


def _write(
    run: RunFolder, part: Part, pieces: Iterator[Piece], tokenizer: SavedTokenizer, total: int
) -> Shard:
    return write_shard(
        _shard_path(run, part),
        pieces,
        tokenizer,
        workers=max(1, min(cores(), total // BATCH)),
        expected_characters=total,
        require_space=require_space,
    )


@dataclass(frozen=True)
class _Corpus:
    """A text that was read once: what the filters leave of it, and how much of that is trained on.

    ``characters`` are counted after the filters; the first ``cut`` of them are the training part.
    """

    texts: Texts
    filters: Filters | None
    characters: int
    cut: int

    def pieces(self, stage: str, progress: Progress) -> Generator[Piece, None, None]:
        """What the filters leave."""
        if self.filters is None:
            return self.texts.pieces(stage, progress)
        return kept(self.texts.documents(stage, progress), self.filters.decisions)


def _survey(recipe: Recipe, progress: Progress) -> _Corpus:
    """Read all of the text once: nothing is begun on a text that cannot be finished."""
    config = recipe.pretrain
    texts = _texts(config, config.file)
    if config.validation_file:
        _texts(config, config.validation_file)  # refuses one that is not there
    filters = None
    if config.filter.near_duplicates or config.filter.against:
        filters = Filters(
            near_duplicates=config.filter.near_duplicates,
            against=config.filter.against,
            ngram=config.filter.ngram,
        )
    read = texts.pieces if filters is None else texts.documents
    characters = most_tokens = 0
    for piece in read(progress=progress):
        spans = filters.judge(piece) if filters is not None else None
        left = piece.text if spans is None else "".join(piece.text[a:b] for a, b in spans)
        characters += len(left)
        most_tokens += len(left.encode("utf-8", "surrogatepass")) + 1  # and an end token
    if most_tokens <= recipe.train.row_tokens:
        raise UserError(
            f"{config.file} has only {characters} characters to train on, less than one row of "
            f"{recipe.train.row_tokens} tokens: give more text or set train.row_tokens lower"
        )
    fraction = 0.0 if config.validation_file else config.validation_fraction
    return _Corpus(texts, filters, characters, int(characters * (1 - fraction)))


def _texts(config: PretrainConfig, name: str) -> Texts:
    return find_texts(name, fields=(config.field,), separator=config.separator)


def _cut_in_two(pieces: Iterator[Piece], cut: int) -> Generator[tuple[Part, Piece], None, None]:
    """Tell the first ``cut`` characters from the rest, in the midst of a document if need be."""
    seen = 0
    for piece in pieces:
        here = min(len(piece.text), max(0, cut - seen))
        seen += len(piece.text)
        if here:
            yield "train", piece._replace(text=piece.text[:here])
        if here < len(piece.text):
            yield "validation", piece._replace(text=piece.text[here:])


def _make_tokenizer(recipe: Recipe, corpus: _Corpus, progress: Progress) -> SavedTokenizer:
    """The tokenizer that the recipe names, or one learned from the training part."""
    config = recipe.tokenizer
    if config.file:
        return load(config.file)
    limit = corpus.cut if config.kind == "char" else min(corpus.cut, TOKENIZER_CHARACTERS)
    with closing(corpus.pieces("reading for the tokenizer", progress)) as pieces:
        first = takewhile(lambda item: item[0] == "train", _cut_in_two(pieces, limit))
        texts = (piece.text for _, piece in first)
        if config.kind == "char":
            return train_char(texts)
        return train_bpe(texts, config.vocab_size)
