"""What a training run minimises.

Pretraining, fine-tuning and verifying differ only here: an ``Objective`` owns whatever it trains
(a module, always; later perhaps a reference model or a critic) and turns a batch into a loss. The
trainer does the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from glassmind.data.packing import PackedRows
from glassmind.model import Mask, causal, same_document


@dataclass(frozen=True, slots=True)
class Batch:
    """Packed rows as tensors, B rows of T tokens; see ``data.packing.PackedRows``.

    ``mask`` holds additive floats (B, T, T): 0 where a token may attend, -inf where not; ``None``
    where every row is one document, for which causal is all there is to say.
    """

    ids: Tensor
    completion: Tensor
    positions: Tensor
    documents: Tensor
    labels: Tensor
    previous: Tensor
    mask: Tensor | None

    @property
    def n_tokens(self) -> int:
        return self.ids.numel()


def same_branch(branches_BT: Tensor) -> Mask:
    """A continuation sees its prompt (branch 0) and itself, not its siblings."""
    return Mask(
        lambda b, q, kv: (branches_BT[b, kv] == 0) | (branches_BT[b, kv] == branches_BT[b, q])
    )


def to_batch(rows: PackedRows, device: torch.device) -> Batch:
    """Move packed rows to ``device`` and lower their mask."""

    def tensor(array: np.ndarray, dtype: torch.dtype) -> Tensor:
        return torch.from_numpy(np.array(array)).to(device, dtype)

    documents, branches = tensor(rows.documents, torch.long), tensor(rows.branches, torch.long)
    lowered = None
    if rows.branches.any() or (rows.documents != 1).any():
        lowered = _lower_in_pieces(rows) if device.type == "cpu" else None
        if lowered is None:
            lowered = _lower(documents, branches)
    return Batch(
        ids=tensor(rows.ids, torch.long),
        completion=tensor(rows.completion, torch.bool),
        positions=tensor(rows.positions, torch.long),
        documents=documents,
        labels=tensor(rows.labels, torch.float32),
        previous=tensor(rows.previous, torch.long),
        mask=lowered,
    )


def _lower(documents: Tensor, branches: Tensor) -> Tensor:
    """The mask of packed, perhaps branching documents as additive floats (B, T, T)."""
    mask = causal & same_document(documents)
    if branches.any():
        mask = mask & same_branch(branches)
    visible = mask.dense(documents.shape[0], documents.shape[1], documents.device)
    hidden = torch.zeros(visible.shape, device=documents.device)
    return hidden.masked_fill_(~visible, float("-inf"))


def _lower_in_pieces(rows: PackedRows) -> Tensor | None:
    """``_lower`` for documents that stand one behind the other without branches, else ``None``.

    Such a mask is the causal one with, for every document, a rectangle more hidden: what lies
    before it. Filling those takes a tenth of the time of asking the predicate about all pairs.
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


class Objective(Protocol):
    """A loss, and what it trains."""

    @property
    def module(self) -> nn.Module:
        """Everything with trained parameters: what a checkpoint keeps."""
        ...

    def weight(self, batch: Batch) -> float:
        """How many terms ``loss`` is the mean of: what the batch counts beside others."""
        ...

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, float | Tensor]]:
        """The scalar to minimise, and figures worth logging (detached)."""
        ...
