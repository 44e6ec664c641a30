"""Supervised attention: one head a layer is shown where each operand comes from.

A solution's steps form a graph: 14 in ``14-4=10`` is the result of an earlier step, 4 a number of
the question. To write ``14`` the model has to find it, and training on text alone leaves open how.
Where the data knows the source, one head can be told (supervised attention: Mi et al. 2016, arXiv
1608.00112; Deshpande & Narasimhan 2020, 2010.02399, on drawing heads towards a pattern):

    guide = - mean over tokens t of operands of  log Σ_{s in source(t)} a[previous(t), s]
    L = SFT + weight · guide

with *a* the attention weights of the chosen head, and ``previous(t)`` the token at which *t* is
predicted. If a number stands in the question twice, either place will do. The mean is over layers
and over the marked tokens of a batch, so small batches weigh them a little differently from one
large batch. Validation measures the language model's loss alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor

from glassmind.data.batches.dependencies import OPERAND_FROM, QUANTITY
from glassmind.errors import UserError
from glassmind.model import Block, Transformer
from glassmind.model.attention import Attention
from glassmind.model.transformer import BlockInput
from glassmind.train.batch import Batch
from glassmind.train.objectives.objective import Loss
from glassmind.train.objectives.pretrain import next_token_loss
from glassmind.train.objectives.sft import SupervisedFineTuning


class GuidedFineTuning(SupervisedFineTuning):
    """Supervised fine-tuning in which ``head`` of each of ``layers`` is guided.

    Raises:
        UserError: the model lacks the head or a layer, or has no heads that can be guided.
    """

    def __init__(
        self, model: Transformer, *, weight: float, layers: Sequence[int], head: int
    ) -> None:
        super().__init__(model)
        self.guide_weight, self.layers, self.head = weight, tuple(layers), head
        config = model.config
        if max(layers) >= config.n_layers or head >= config.attention.n_heads:
            raise UserError(
                f"supervision.layers and supervision.head count from 0, and the model has "
                f"{config.n_layers} layers of {config.attention.n_heads} heads"
            )
        if not all(isinstance(self._block(layer).attention, Attention) for layer in layers):
            raise UserError("supervision.weight must be 0 for a model with latent attention")

    def _block(self, layer: int) -> Block:
        return cast(Block, self.module.blocks[layer])

    def loss(self, batch: Batch) -> Loss:
        inputs: dict[int, BlockInput | None] = dict.fromkeys(self.layers)
        hidden = self.module.hidden(
            batch.ids,
            positions=batch.positions,
            mask=batch.mask,
            previous=batch.previous,
            inputs=inputs,
        )
        spoken = next_token_loss(self.module, hidden, batch, self.learned(batch.rows))
        if not (self.module.training and batch.rows[OPERAND_FROM].any()):
            return spoken, {}
        surprises = []
        for layer, given in inputs.items():
            assert given is not None
            scores_BTT = self._block(layer).head_scores(given, self.head)
            surprises.append(-source_log_share(scores_BTT, batch).mean())
        guide = torch.stack(surprises).mean()
        return spoken + self.guide_weight * guide, {"guide": guide.detach()}


def operand_sources(batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Of the N marked tokens of operands: their rows, the index of the token before each, and
    which tokens of the row (N, T) they come from."""
    rows_N, operands_N = batch.indices(batch.rows[OPERAND_FROM] > 0)
    wanted_N1 = batch[OPERAND_FROM][rows_N, operands_N, None]
    ours_NT = batch.documents[rows_N] == batch.documents[rows_N, operands_N, None]
    source_NT = (batch[QUANTITY][rows_N] == wanted_N1) & ours_NT
    return rows_N, batch.previous[rows_N, operands_N], source_NT


def source_log_share(scores_BTT: Tensor, batch: Batch) -> Tensor:
    """(N,) of each token of an operand, the log of the attention that its sources get.

    ``scores_BTT`` are one head's, as ``Block.head_scores`` gives them. The attention is that of the
    token before: the one that has to know the operand.
    """
    rows_N, queries_N, source_NT = operand_sources(batch)
    scores_NT = scores_BTT[rows_N, queries_N]
    of_sources_N = scores_NT.masked_fill(~source_NT, -np.inf).logsumexp(dim=-1)
    return of_sources_N - scores_NT.logsumexp(dim=-1)
