"""A batch: packed rows as tensors, with the attention mask that keeps their documents apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glassmind.data.batches.columns import Column, pick
from glassmind.data.batches.packing import PackedRows
from glassmind.model import Mask, causal, same_document


@dataclass(frozen=True, slots=True)
class Batch:
    """B packed rows of T tokens on the training device; every tensor but the mask is (B, T).

    ``rows`` are the same rows as NumPy arrays (``data.batches.packing.PackedRows`` explains their
    fields). Count and choose tokens there, so that nothing has to wait for the device, and copy
    their indices to it with ``indices``. ``batch[COLUMN]`` is a column on the device.

    ``mask`` holds additive floats (B, T, T): 0 where a token may attend, -inf where not. It is
    ``None`` if every row is one document, so that causal attention is all that is needed.
    """

    rows: PackedRows
    ids: Tensor
    positions: Tensor
    documents: Tensor
    previous: Tensor
    mask: Tensor | None
    columns: Mapping[Column, Tensor]

    def __getitem__(self, column: Column) -> Tensor:
        return pick(self.columns, column)

    @property
    def n_tokens(self) -> int:
        return self.ids.numel()

    def indices(self, chosen_BT: NDArray[np.bool_]) -> tuple[Tensor, Tensor]:
        """Row and column of the N chosen tokens, two tensors (N,) on the device."""
        rows_N, columns_N = chosen_BT.nonzero()
        return to_device(rows_N, self.ids.device), to_device(columns_N, self.ids.device)

    def named_tensors(self) -> dict[str, Tensor]:
        """All tensors on the device by name; a column has its own name."""
        named = {
            "ids": self.ids,
            "positions": self.positions,
            "documents": self.documents,
            "previous": self.previous,
            **({} if self.mask is None else {"mask": self.mask}),
        }
        return named | {column.name: values for column, values in self.columns.items()}


def to_batch(rows: PackedRows, device: torch.device) -> Batch:
    """Move packed rows to ``device`` and compute their mask, without waiting for a GPU."""
    documents = to_device(rows.documents, device, torch.long)
    lowered = None
    if rows.branches.any() or (rows.documents != 1).any():
        lowered = _lower_in_pieces(rows) if device.type == "cpu" else None
        if lowered is None:
            branching = bool(rows.branches.any())
            branches = to_device(rows.branches, device, torch.long) if branching else None
            lowered = _lower(documents, branches)
    return Batch(
        rows=rows,
        ids=to_device(rows.ids, device, torch.long),
        positions=to_device(rows.positions, device, torch.long),
        documents=documents,
        previous=to_device(rows.previous, device, torch.long),
        mask=lowered,
        columns={column: to_device(values, device) for column, values in rows.columns.items()},
    )


def to_device(
    array: NDArray[Any], device: torch.device, dtype: torch.dtype | None = None
) -> Tensor:
    """A copy of ``array`` as a tensor; from pinned memory, so that nothing waits for a GPU."""
    tensor = torch.from_numpy(np.array(array)).to(dtype)
    if device.type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def same_branch(branches_BT: Tensor) -> Mask:
    """A continuation sees its prompt (branch 0) and itself, not its siblings."""
    return Mask(
        lambda b, q, kv: (branches_BT[b, kv] == 0) | (branches_BT[b, kv] == branches_BT[b, q])
    )


def _lower(documents: Tensor, branches: Tensor | None) -> Tensor:
    """The mask of packed, perhaps branching documents as additive floats (B, T, T)."""
    mask = causal & same_document(documents)
    if branches is not None:
        mask = mask & same_branch(branches)
    visible = mask.dense(documents.shape[0], documents.shape[1], documents.device)
    hidden = torch.zeros(visible.shape, device=documents.device)
    return hidden.masked_fill_(~visible, float("-inf"))


def _lower_in_pieces(rows: PackedRows) -> Tensor | None:
    """``_lower`` for consecutive documents without branches; ``None`` for others.

    Such a mask is the causal mask with one more hidden rectangle per document, everything before
    it. Filling those takes a tenth of the time of evaluating the predicate for all pairs.
    """
    order = (rows.documents - 1).astype(np.uint16)  # padding, 0, comes last
    if rows.branches.any() or (order[:, 1:] < order[:, :-1]).any():
        return None
    n_rows, n_tokens = order.shape
    causal_TT = torch.full((n_tokens, n_tokens), float("-inf")).triu_(1)
    mask_BTT = causal_TT.expand(n_rows, -1, -1).contiguous()
    for row, mask_TT in zip(order, mask_BTT, strict=True):
        starts = np.flatnonzero(np.diff(row)) + 1
        for start, end in pairwise([*starts.tolist(), n_tokens]):
            mask_TT[start:end, :start] = float("-inf")
    return mask_BTT
