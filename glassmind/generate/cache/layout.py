"""How keys and values are stored in blocks, and where the tokens of a pass belong.

Shapes: T query tokens, R rows, W blocks of the longest row, N blocks of the store, K kv heads, E
key width, F value width. Of one group: R rows, Q query tokens of each.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

BLOCK = 16
"""Tokens of a block."""


class LayerBlocks(NamedTuple):
    """The blocks of one layer.

    ``keys`` (N, K, E, BLOCK) are transposed within a block. Without ``values`` (N, K, BLOCK, F) the
    keys serve as values too. If both are int8, every key and value has a scale, float32
    (N, K, BLOCK), chosen so that its largest number is stored as 127.
    """

    keys: Tensor
    values: Tensor | None = None
    key_scales: Tensor | None = None
    value_scales: Tensor | None = None


class RowGroup(NamedTuple):
    """Rows with about as many query tokens each, to be computed together.

    ``tokens_RQ`` are the indices of their query tokens in the pass; a row with fewer than Q repeats
    its last one. ``visible_RQ`` is how many keys each of them sees, ``tables_RW`` the rows' blocks.
    """

    tables_RW: Tensor
    tokens_RQ: Tensor
    visible_RQ: Tensor


@dataclass(frozen=True, eq=False)
class Places:
    """Where the tokens of a pass belong.

    Token *t* sees the first ``visible_T[t]`` keys of row ``row_T[t]`` (both int32, as
    ``tables_RW``), and its own key and value go to ``slots_T[t]`` (int64), which is
    ``block * BLOCK + place``. ``states`` (N, BLOCK, 7) are the ``StepState`` of every stored token,
    if the model reads steps.
    """

    tables_RW: Tensor
    row_T: Tensor
    visible_T: Tensor
    slots_T: Tensor
    states: Tensor | None = None

    @functools.cached_property
    def groups(self) -> list[RowGroup]:
        """The rows of the pass, in groups that waste less than half of their query places.

        Rows that read one token are a group, those with 2, with 3 or 4, with 5 to 8, and so on.
        """
        rows_R, row_of_T, counts_R = self.row_T.unique(return_inverse=True, return_counts=True)
        order_T = row_of_T.argsort(stable=True)
        starts_R = counts_R.cumsum(0) - counts_R
        size_R = (counts_R - 0.5).log2().ceil()  # 1, 2, 3-4, 5-8, ... tokens: 0, 1, 2, 3, ...
        groups = []
        for size in size_R.unique().tolist():
            mine = (size_R == size).nonzero()[:, 0]
            counts_R1 = counts_R[mine, None]
            within_RQ = torch.arange(int(counts_R1.max()), device=mine.device).minimum(
                counts_R1 - 1
            )
            tokens_RQ = order_T[starts_R[mine, None] + within_RQ]
            visible_RQ = self.visible_T[tokens_RQ].long()
            width = -(-int(visible_RQ.max()) // BLOCK)
            tables_RW = self.tables_RW[rows_R[mine].long(), :width].long()
            groups.append(RowGroup(tables_RW, tokens_RQ, visible_RQ))
        return groups
