"""Pretraining: predict every next token.

    L = - mean over all tokens t of  log p(x[t+1] | x[..t])

(Radford et al. 2018; the loss of every language model since Bengio et al. 2003.) The first
token of a document has nothing to be predicted from, and no loss.
"""

from __future__ import annotations

import torch
from torch import Tensor

from glassmind.model import Transformer
from glassmind.train.chunked_loss import chunked_cross_entropy
from glassmind.train.objective import Batch


def next_token_loss(
    model: Transformer, hidden_BTD: Tensor, batch: Batch, chosen_BT: Tensor
) -> Tensor:
    """Mean cross-entropy (nats) of the tokens at ``chosen_BT``, each predicted by the one before.

    Hidden states are picked *before* they are turned into logits: the output layer, a fifth of a
    small model's work, then runs only where there is something to learn, and never for all at once.
    """
    rows, columns = chosen_BT.nonzero(as_tuple=True)
    predictors = rows * batch.ids.shape[1] + batch.previous[rows, columns]
    chosen_ND = hidden_BTD.flatten(0, 1).index_select(0, predictors)
    return chunked_cross_entropy(chosen_ND, model.unembed.weight, batch.ids[rows, columns])


class Pretrain:
    """Next-token prediction over whole documents."""

    def __init__(self, model: Transformer) -> None:
        self.module = model

    def learned(self, batch: Batch) -> Tensor:
        """Which tokens count, (B, T): every one that has a token before it in its document."""
        columns = torch.arange(batch.ids.shape[1], device=batch.ids.device)
        return (batch.previous != columns) & (batch.documents > 0)

    def weight(self, batch: Batch) -> float:
        """The number of tokens that count."""
        return float(self.learned(batch).sum())

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, float | Tensor]]:
        hidden = self.module.hidden(batch.ids, positions=batch.positions, mask=batch.mask)
        return next_token_loss(self.module, hidden, batch, self.learned(batch)), {}
