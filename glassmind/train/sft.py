"""Supervised fine-tuning: predict the completion, given the prompt.

    L = - mean over completion tokens t of  log p(y[t] | prompt, y[..t-1])

The prompt's own tokens are read but not learned (Ouyang et al. 2022, arXiv 2203.02155, and
everyone since): the model is to answer questions, not to invent them.
"""

from __future__ import annotations

from torch import Tensor

from glassmind.model import Transformer
from glassmind.train.objective import Batch
from glassmind.train.pretrain import next_token_loss


class SupervisedFineTuning:
    """Next-token prediction over completions only."""

    def __init__(self, model: Transformer) -> None:
        self.module = model

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, float | Tensor]]:
        hidden = self.module.hidden(batch.ids, positions=batch.positions, mask=batch.mask)
        return next_token_loss(self.module, hidden, batch, batch.completion), {}
