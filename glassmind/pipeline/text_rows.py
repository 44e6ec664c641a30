"""From text on the disk to rows of token ids, for the pretraining of a new or a finished model.

    survey     read everything once: is it text, how much is there, what do the filters remove
    tokenizer  learn it on the training part (or take the recipe's, or a finished model's)
    tokens     encode the text into ``tokens/train.bin`` and ``validation.bin`` of the run's folder

No step holds more than a few pieces of the text; training reads the ids from the disk.
Each result is kept in the run's folder and found again on resume; once the tokens are there, the
text is no longer needed. A run whose text turns out to be unusable leaves no folder behind.
"""

from __future__ import annotations

import shutil
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from itertools import groupby, takewhile
from operator import itemgetter
from pathlib import Path
from typing import Literal

import numpy as np

from glassmind.data.batches.packing import PackedRows
from glassmind.data.pretraining.filters import Filters, kept
from glassmind.data.pretraining.texts import Piece, Texts, find_texts
from glassmind.data.pretraining.token_shards import (
    BATCH,
    Shard,
    TokenRows,
    mapped_ids,
    open_shard,
    write_shard,
)
from glassmind.errors import UserError
from glassmind.files import require_space
from glassmind.progress import Progress
from glassmind.runs.folder import RunFolder, open_run
from glassmind.runs.recipe import PretrainConfig, Recipe
from glassmind.serialization import write_record
from glassmind.tokenize import SavedTokenizer, Tokenizer, load, save, train_bpe, train_char
from glassmind.tokenize.composed.tokenizer import ComposedTokenizer
from glassmind.tokenize.corpus.bulk import cores

TOKENIZER_CHARACTERS = 4_000_000  # enough text to learn merges from; more makes little difference
VALIDATION_TOKENS = 16_384  # that the loss is measured on while training; in the end, on all

# The token between documents in each family. Chat models have another one that ends a turn.
_ENDS_OF_DOCUMENTS = ("<|endoftext|>", "<|end_of_text|>")

Part = Literal["train", "validation"]


@dataclass(frozen=True)
class HeldOut:
    """The rows that are used for validation only, and the shard that has them."""

    rows: TokenRows
    sample: PackedRows  # evenly spread rows, for validation during training
    shard: Shard


def require_texts(recipe: Recipe) -> None:
    """Refuse a recipe whose text is missing before the run is started.

    Raises:
        UserError: the recipe names no text, or one that does not exist.
    """
    config = recipe.pretrain
    if not config.file:
        raise UserError("a recipe that pretrains needs a text: set pretrain.file")
    for name in (config.file, config.validation_file):
        if name:
            _texts(config, name)


@contextmanager
def begun(
    folder: Path, recipe: Recipe, progress: Progress, *, resume: bool, first: bool = True
) -> Generator[RunFolder, None, None]:
    """Open the run, and delete it again if it is new and the block raises a ``UserError``, because
    its text is unusable. ``first`` says whether this process is the one that writes."""
    if not recipe.pretrain.file:
        raise UserError("a recipe that pretrains needs a text: set pretrain.file")
    new = not (folder / "recipe.toml").is_file()
    run = open_run(folder, recipe, resume=resume, warn=progress.end) if first else RunFolder(folder)
    try:
        yield run
    except UserError:
        if new and first:
            _forget(run)
        raise


def text_rows(
    run: RunFolder,
    recipe: Recipe,
    progress: Progress,
    tokenizer: ComposedTokenizer | None = None,
) -> tuple[TokenRows, HeldOut | None]:
    """The recipe's text as rows to train and to validate on; they are made if they are missing.

    ``tokenizer`` is that of a model from elsewhere. Without one, the run's ``tokenizer.json`` is
    used, which is made if it is missing.

    Raises:
        UserError: the text cannot be read, or is too short.
    """
    shards = _shards(run, recipe, progress, tokenizer)
    rows = _rows(run, recipe, "train", shards["train"])
    held_out = shards.get("validation")
    if held_out is None or held_out.count < recipe.train.row_tokens:
        return rows, None
    measured = _rows(run, recipe, "validation", held_out)
    count = max(1, min(VALIDATION_TOKENS // recipe.train.row_tokens, len(measured)))
    some = np.linspace(0, len(measured) - 1, count).astype(np.int64)
    return rows, HeldOut(measured, measured.take(some), held_out)


def _forget(run: RunFolder) -> None:
    """Delete the run that was just started, and nothing else in its folder."""
    for name in ("run.json", "recipe.toml", "tokenizer.json", "data-report.json"):
        (run.path / name).unlink(missing_ok=True)
    shutil.rmtree(run.path / "tokens", ignore_errors=True)
    with suppress(OSError):  # the folder has other files
        run.path.rmdir()


def _shard_path(run: RunFolder, part: Part) -> Path:
    return run.path / "tokens" / f"{part}.bin"


def _rows(run: RunFolder, recipe: Recipe, part: Part, shard: Shard) -> TokenRows:
    end = shard.end_of_document if recipe.pretrain.document_mask else None
    if recipe.pretrain.document_mask and end is None:
        raise UserError(
            f"pretrain.document_mask needs a token between documents, and the tokenizer of "
            f"{recipe.start} has none: set it to false"
        )
    ids = mapped_ids(_shard_path(run, part), shard)
    return TokenRows(ids, recipe.train.row_tokens, end_of_document=end)


# ---------------------------------------------------------------------- text to tokens


def _shards(
    run: RunFolder, recipe: Recipe, progress: Progress, given: ComposedTokenizer | None
) -> dict[Part, Shard]:
    """The run's shards; they and the tokenizer are made if they are missing."""
    path, config = run.path / "tokenizer.json", recipe.pretrain
    parts: list[Part] = ["train"]
    if config.validation_file or config.validation_fraction:
        parts.append("validation")
    tokenizer: Tokenizer | None = given
    if tokenizer is None and path.is_file():
        tokenizer = load(path)
    if tokenizer is not None:
        found = {part: open_shard(_shard_path(run, part), tokenizer) for part in parts}
        if whole := {part: shard for part, shard in found.items() if shard}:
            if len(whole) == len(parts):
                return whole
            progress.end("the tokens in the run's folder are incomplete and are made again")
    corpus = _survey(recipe, progress)
    if corpus.filters is not None:
        write_record(run.path / "data-report.json", corpus.filters.report())
        progress.end(corpus.filters.summary())
    if tokenizer is None:
        save(_make_tokenizer(recipe, corpus, progress), path)
        tokenizer = load(path)
    shutil.rmtree(run.path / "tokens", ignore_errors=True)  # left by a process that was killed
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
    return shards


def _write(
    run: RunFolder, part: Part, pieces: Iterator[Piece], tokenizer: Tokenizer, total: int
) -> Shard:
    return write_shard(
        _shard_path(run, part),
        pieces,
        tokenizer,
        end_of_document=_end_of_document(tokenizer),
        workers=max(1, min(cores(), total // BATCH)),
        expected_characters=total,
        require_space=require_space,
    )


def _end_of_document(tokenizer: Tokenizer) -> int | None:
    """The token between documents in a model from elsewhere; ``None`` if it has none."""
    if not isinstance(tokenizer, ComposedTokenizer):
        return None
    spellings = (*_ENDS_OF_DOCUMENTS, tokenizer.facts.eos_token or "")
    return next((tokenizer.special[s] for s in spellings if s in tokenizer.special), None)


@dataclass(frozen=True)
class _Corpus:
    """A text that was read once: its length after the filters, and how much of it is trained on.

    ``characters`` are counted after the filters; the first ``cut`` of them are the training part.
    """

    texts: Texts
    filters: Filters | None
    characters: int
    cut: int

    def pieces(self, stage: str, progress: Progress) -> Generator[Piece, None, None]:
        """The documents after the filters."""
        if self.filters is None:
            return self.texts.pieces(stage, progress)
        return kept(self.texts.documents(stage, progress), self.filters.decisions)


def _survey(recipe: Recipe, progress: Progress) -> _Corpus:
    """Read all of the text once, so that an unusable text is refused before any other work."""
    config = recipe.pretrain
    require_texts(recipe)
    texts = _texts(config, config.file)
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
    """Split after the first ``cut`` characters, inside a document if necessary."""
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
