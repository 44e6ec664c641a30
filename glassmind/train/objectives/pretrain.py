"""Pretraining: predict every next token.

    L = - mean over all tokens t of  log p(x[t+1] | x[..t])

(Radford et al. 2018; the loss of every language model since Bengio et al. 2003.) The first token of
a document cannot be predicted from anything, so it has no loss.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from glassmind.data.batches.packing import PackedRows
from glassmind.model import Transformer
from glassmind.train.batch import Batch
from glassmind.train.objectives.chunked_loss import chunked_cross_entropy
from glassmind.train.objectives.objective import Loss, Objective


def next_token_loss(
    model: Transformer, hidden_BTD: Tensor, batch: Batch, chosen_BT: NDArray[np.bool_]
) -> Tensor:
    """Mean cross-entropy (nats) of the chosen tokens, each predicted by the one before it.

    Hidden states are selected *before* they are turned into logits. The output layer, a fifth of a
    small model's work, then runs only for the chosen tokens, and never for all at once.
    """
    rows, columns = batch.indices(chosen_BT)
    predictors = rows * batch.ids.shape[1] + batch.previous[rows, columns]
    chosen_ND = hidden_BTD.flatten(0, 1).index_select(0, predictors)
    return chunked_cross_entropy(chosen_ND, model.unembed.weight, batch.ids[rows, columns])


class Pretrain(Objective):
    """Next-token prediction over whole documents."""

    module: Transformer

    def __init__(self, model: Transformer) -> None:
        self.module = model

    def learned(self, rows: PackedRows) -> NDArray[np.bool_]:
        """The tokens that are predicted, (B, T): all that follow another in their document."""
        found: NDArray[np.bool_] = rows.previous != np.arange(rows.ids.shape[1])
        return found & (rows.documents > 0)

    def weight(self, batch: Batch) -> float:
        """The number of tokens that are predicted."""
        return float(np.count_nonzero(self.learned(batch.rows)))

    def loss(self, batch: Batch) -> Loss:
        hidden = self.module.hidden(
            batch.ids, positions=batch.positions, mask=batch.mask, previous=batch.previous
        )
        return next_token_loss(self.module, hidden, batch, self.learned(batch.rows)), {}
