"""How a piece of text becomes its tokens, step by step, for display.

In byte-pair encoding the steps are merges: which neighbours were joined, and the merge's *rank*
(its place in the order learned; frequent pairs have low ranks and merge first). In WordPiece they
are the matches taken from the rest of the word. In a unigram vocabulary they are the tokens of the
most likely cut, with their log-probabilities.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from glassmind.tokenize.bpe.merging import MergeTable
from glassmind.tokenize.bpe.presplit import presplit
from glassmind.tokenize.bpe.tokenizer import BPETokenizer
from glassmind.tokenize.char import CharTokenizer
from glassmind.tokenize.composed.character_bpe import CharacterBPE
from glassmind.tokenize.composed.tokenizer import ComposedTokenizer
from glassmind.tokenize.composed.unigram import Chosen, Unigram
from glassmind.tokenize.composed.wordpiece import WordPiece
from glassmind.tokenize.display import show_bytes

MAX_START = 64
"""A piece that starts with more tokens (characters, bytes) than this is not shown."""


class MergeStep(NamedTuple):
    """One merge: ``row`` are the ids after it, the new one at place ``at``."""

    rank: int
    at: int
    row: tuple[int, ...]


@dataclass(frozen=True)
class Step:
    """One step as text: ``parts`` are the tokens after it (and the rest of the piece), ``new`` is
    the index of the token it made, ``note`` says how."""

    parts: tuple[str, ...]
    new: int | None
    note: str


@dataclass(frozen=True)
class PiecePath:
    """The tokens a piece starts as, and the steps to its final tokens. There are no steps where
    nothing changes or the piece is ``too_long``."""

    start: tuple[str, ...]
    steps: tuple[Step, ...] = ()
    too_long: bool = False


def merge_path(table: MergeTable, ids: Sequence[int]) -> list[MergeStep]:
    """The merges from ``ids`` to ``table.merge(ids)``, in order. The time they take grows with the
    square of their number."""
    row = tuple(ids)
    steps: list[MergeStep] = []
    while True:
        ranked = [
            (rank, at)
            for at, (left, right) in enumerate(itertools.pairwise(row))
            if (rank := table.rank(left, right)) is not None
        ]
        if not ranked:
            return steps
        rank, at = min(ranked)
        row = (*row[:at], table.product(rank), *row[at + 2 :])
        steps.append(MergeStep(rank, at, row))


def explain(
    tokenizer: ComposedTokenizer | BPETokenizer | CharTokenizer, text: str
) -> Iterator[PiecePath]:
    """The path of each distinct piece of ``text``, in order of appearance. A character tokenizer
    has none: its tokens are looked up directly."""
    if isinstance(tokenizer, BPETokenizer):
        for piece in dict.fromkeys(presplit(text)):
            data = piece.encode("utf-8", "surrogatepass")
            start = [tokenizer.encode(data[at : at + 1])[0] for at in range(len(data))]
            yield _merged(tokenizer, tokenizer.merge_table, start)
    elif isinstance(tokenizer, ComposedTokenizer):
        added = {token.content for token in tokenizer.added_tokens}
        for piece in dict.fromkeys(tokenizer.pieces(text)):
            yield PiecePath((piece,)) if piece in added else _explain(tokenizer, piece)


def _explain(tokenizer: ComposedTokenizer, piece: str) -> PiecePath:
    model = tokenizer.model
    if isinstance(model, CharacterBPE):
        path = _merged(tokenizer, model.merge_table, model.start_ids(piece))
        if model.ignore_merges and piece in model.vocab and not path.too_long:
            token = tokenizer.token_text(model.vocab[piece])
            if len(path.steps[-1].parts if path.steps else path.start) > 1:
                whole = Step((token,), 0, "a token as a whole")
                return PiecePath(path.start, (*path.steps, whole))
        return path
    if len(piece) > MAX_START:
        return PiecePath((), too_long=True)
    if isinstance(model, WordPiece):
        return _matched(model, piece)
    return _likeliest(model, piece) if isinstance(model, Unigram) else PiecePath((_show(piece),))


def _merged(
    tokenizer: ComposedTokenizer | BPETokenizer, table: MergeTable, start: Sequence[int]
) -> PiecePath:
    if len(start) > MAX_START:
        return PiecePath((), too_long=True)
    steps = (
        Step(tuple(map(tokenizer.token_text, row)), at, f"merge {rank}")
        for rank, at, row in merge_path(table, start)
    )
    return PiecePath(tuple(map(tokenizer.token_text, start)), tuple(steps))


def _matched(model: WordPiece, piece: str) -> PiecePath:
    """Each step takes the longest token that the rest of the piece begins with."""
    ids = model.encode_piece(piece)
    if ids == [model.vocab.get(piece)]:
        return PiecePath((_show(piece),))
    if ids == [model.vocab[model.unk]]:
        return PiecePath((_show(piece),), (Step((model.unk,), 0, "no tokens fit"),))
    spelling = {token_id: token for token, token_id in model.vocab.items()}
    tokens = [spelling[token_id] for token_id in ids]
    lengths = [len(tokens[0]), *(len(token) - len(model.prefix) for token in tokens[1:])]
    return _taken(piece, tokens, lengths, ["longest match"] * len(tokens))


def _likeliest(model: Unigram, piece: str) -> PiecePath:
    """Each step takes a token of the most likely cut."""
    path = model.best_path(piece)
    notes = [f"{_kind(model, part)} {part.score:.2f}" for part in path]
    notes[-1] += f", sum {sum(part.score for part in path):.2f}"
    texts = [part.text.replace("▁", " ") for part in path]  # as the tokens themselves are shown
    return _taken("".join(texts), texts, list(map(len, texts)), notes)


def _kind(model: Unigram, part: Chosen) -> str:
    if part.token_id is not None:
        return "log p"
    return "unknown" if model.encode_piece(part.text) == [model.unk_id] else "as bytes"


def _taken(piece: str, tokens: list[str], lengths: list[int], notes: list[str]) -> PiecePath:
    """The tokens taken from ``piece`` one by one, each with the rest of the piece."""
    steps: list[Step] = []
    left = piece
    for number, (length, note) in enumerate(zip(lengths, notes, strict=True)):
        left = left[length:]
        parts = [*tokens[: number + 1], left] if left else tokens
        steps.append(Step(tuple(map(_show, parts)), number, note))
    return PiecePath((_show(piece),), tuple(steps))


def _show(text: str) -> str:
    return show_bytes(text.encode("utf-8"))
