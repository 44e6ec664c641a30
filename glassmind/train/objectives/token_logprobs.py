"""The log-probability of chosen tokens, without storing all logits.

    log p(y) = logits[y] - logsumexp(logits)

With a large vocabulary the logits of a batch are by far its largest tensor. So they are made in
chunks of tokens, and computed again in the backward pass (Chen et al. 2016, arXiv 1604.06174),
where only one chunk exists at a time. ``chunked_loss`` is cheaper, but gives only a mean; a loss
that is no mean over tokens needs each log-probability with its gradient.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from glassmind.model import Transformer
from glassmind.train.batch import Batch
from glassmind.train.objectives.chunked_loss import chunk_rows


def token_logprobs(model: Transformer, batch: Batch, at: tuple[Tensor, Tensor]) -> Tensor:
    """Log-probability (N,) in float32 of the N tokens at (row, column), each given those before it
    in its document."""
    rows, columns = at
    hidden_BTD = model.hidden(
        batch.ids, positions=batch.positions, mask=batch.mask, previous=batch.previous
    )
    hidden_ND = hidden_BTD[rows, batch.previous[rows, columns]]
    ids_N = batch.ids[rows, columns]
    size = chunk_rows(model.config.vocab_size)
    if len(ids_N) <= size or not torch.is_grad_enabled():
        parts = [
            _logprobs(model, hidden_CD, ids_C)
            for hidden_CD, ids_C in zip(hidden_ND.split(size), ids_N.split(size), strict=True)
        ]
    else:
        parts = [
            checkpoint(
                _logprobs, model, hidden_CD, ids_C, use_reentrant=False, preserve_rng_state=False
            )
            for hidden_CD, ids_C in zip(hidden_ND.split(size), ids_N.split(size), strict=True)
        ]
    return torch.cat(parts)


def _logprobs(model: Transformer, hidden_CD: Tensor, ids_C: Tensor) -> Tensor:
    logits_CV = model.unembed(hidden_CD).float()
    chosen_C = logits_CV.gather(1, ids_C[:, None])[:, 0]
    logprob_C: Tensor = chosen_C - logits_CV.logsumexp(1)
    return logprob_C
