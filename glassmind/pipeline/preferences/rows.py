"""The rows that a training on preferences reads, and keeps until it is finished.

A resumed run must read the very rows that it began with. Sampling the pairs, or computing the
reference's log-probabilities, a second time costs minutes, and on another number of threads the
last digits differ. So the rows are written next to the run's checkpoints, and deleted with them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from glassmind.data.batches.columns import COMPLETION, Column
from glassmind.data.batches.packing import STRUCTURE, PackedRows, pack
from glassmind.data.preferences.documents import (
    PREFERENCE,
    EncodedPreference,
    mismatched_documents,
    preference_document,
)
from glassmind.errors import UserError
from glassmind.pipeline.preferences.pairs import Pairs
from glassmind.runs.checkpoint import load_tensors, save_tensors
from glassmind.runs.folder import RunFolder
from glassmind.train import State
from glassmind.train.objectives.preference import REFERENCE_LOGPROB

COLUMNS = (COMPLETION, PREFERENCE, REFERENCE_LOGPROB)

Kept = tuple[PackedRows, PackedRows | None]
"""The rows to train on, and those to measure on, if there are any."""


def packed_pairs(pairs: Pairs, row_tokens: int, *, unpaired: bool) -> Kept:
    """Both parts, packed; for KTO (``unpaired``) with mismatched answers."""

    def packed(some: Sequence[EncodedPreference]) -> PackedRows:
        if unpaired:
            documents = mismatched_documents(some, row_tokens)
        else:
            documents = [preference_document(one) for one in some]
        return pack(documents, row_tokens, pad_id=0)

    enough = len({one.prompt for one in pairs.held_out}) > unpaired
    return packed(pairs.training), packed(pairs.held_out) if enough else None


def kept_rows(run: RunFolder, stage: str, make: Callable[[], Kept]) -> Kept:
    """The rows that the run was begun with; made, and kept, the first time."""
    path = run.path / "checkpoints" / stage / "rows.safetensors"
    if path.is_file():
        return _read(path)
    rows, held_out = make()
    tensors = _tensors(rows, "training")
    if held_out is not None:
        tensors |= _tensors(held_out, "held_out")
    path.parent.mkdir(parents=True, exist_ok=True)
    save_tensors(tensors, path)
    return rows, held_out


def _tensors(rows: PackedRows, part: str) -> dict[str, torch.Tensor]:
    return {f"{part}.{name}": tensor for name, tensor in rows_state(rows).items()}


def rows_state(rows: PackedRows) -> dict[str, torch.Tensor]:
    """The arrays of rows as tensors, by name."""
    arrays = {name: getattr(rows, name) for name in STRUCTURE}
    arrays |= {column.name: rows[column] for column in COLUMNS if column in rows.columns}
    return {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}


def rows_of_state(state: State) -> PackedRows:
    """The rows that ``rows_state`` was given."""
    structure: dict[str, Any] = {name: state[name].numpy() for name in STRUCTURE}
    columns: dict[Column, Any] = {c: state[c.name].numpy() for c in COLUMNS if c.name in state}
    return PackedRows(**structure, columns=columns)


def _read(path: Path) -> Kept:
    tensors = load_tensors(path)
    parts = []
    for part in ("training", "held_out"):
        prefix = f"{part}."
        own = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
        parts.append(own)
    if set(STRUCTURE) - set(parts[0]):
        raise UserError(
            f"{path} does not hold the rows of a run: delete it, and they are made again"
        )
    return rows_of_state(parts[0]), rows_of_state(parts[1]) if parts[1] else None
