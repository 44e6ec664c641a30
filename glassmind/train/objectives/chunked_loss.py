"""Cross-entropy without storing all logits.

The last layer of a language model turns N hidden states into N x V logits. With a vocabulary of
50,000 tokens they are by far the largest tensor of training, and they exist three times: as logits
kept for the backward pass, as log-probabilities, and as their gradient. But each row's loss and
gradient depend on that row alone. So the rows are processed in chunks, and each chunk's gradient is
computed together with its loss:

    logits = h Wᵀ        L = Σ logsumexp(logits) - logits[target]
    dL/dlogits = softmax(logits) - onehot(target)
    dL/dh = dL/dlogits · W        dL/dW += dL/dlogitsᵀ · h

These are the same three matrix products in a tenth of the memory (as in Wijmans et al. 2024, arXiv
2411.09009, and Hsu et al. 2024, 2410.10989, who also fuse them into one kernel). Since a chunk of
logits fits into the processor's cache, it is not slower.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

CHUNK_LOGITS = 2**20
"""Logits that exist at once: 4 MiB in float32, which a processor's cache holds."""

FEWEST_ROWS = 512
"""The fewest rows of a chunk. W is read, and its gradient read and written, for every chunk: with a
large vocabulary and few rows that takes longer than the arithmetic."""


def chunk_rows(vocab_size: int) -> int:
    """The number of rows of a chunk."""
    return max(FEWEST_ROWS, CHUNK_LOGITS // vocab_size)


def chunked_cross_entropy(
    hidden_ND: Tensor, weight_VD: Tensor, targets_N: Tensor, rows: int = 0
) -> Tensor:
    """Mean of -log p(target) (nats) with logits ``hidden_ND @ weight_VD.T``; a scalar in float32.

    Equal to ``F.cross_entropy`` of those logits up to rounding; ``backward`` can be called once.
    ``rows`` is the size of a chunk (0: ``chunk_rows``).
    """
    rows = rows or chunk_rows(len(weight_VD))
    apply: Callable[..., Tensor] = _ChunkedCrossEntropy.apply
    return apply(hidden_ND, weight_VD, targets_N, rows)


class _ChunkedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden_ND: Tensor, weight_VD: Tensor, targets_N: Tensor, rows: int
    ) -> Tensor:
        for_hidden, for_weight = ctx.needs_input_grad[:2]
        # An empty batch has no mean; a loss of 0 changes nothing.
        n = max(1, len(targets_N))
        d_hidden_ND = torch.empty_like(hidden_ND) if for_hidden else None
        d_weight_VD = torch.zeros_like(weight_VD) if for_weight else None
        total = torch.zeros((), device=hidden_ND.device)
        for start in range(0, len(targets_N), rows):
            h_CD, targets_C = hidden_ND[start : start + rows], targets_N[start : start + rows, None]
            logits_CV = F.linear(h_CD, weight_VD).float()
            lse_C1 = logits_CV.logsumexp(dim=-1, keepdim=True)
            total += (lse_C1 - logits_CV.gather(1, targets_C)).sum()
            if not (for_hidden or for_weight):
                continue
            d_CV = logits_CV.sub_(lse_C1).exp_()  # from here on the gradient, in the same memory
            d_CV.scatter_add_(1, targets_C, d_CV.new_full((), -1.0).expand_as(targets_C))
            d_CV = d_CV.div_(n).to(h_CD.dtype)
            if d_hidden_ND is not None:
                d_hidden_ND[start : start + rows] = d_CV @ weight_VD.to(d_CV.dtype)
            if d_weight_VD is not None:
                d_weight_VD.addmm_(d_CV.mT.to(weight_VD.dtype), h_CD.to(weight_VD.dtype))
        ctx.gradients = d_hidden_ND, d_weight_VD
        return total / n

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        d_hidden_ND, d_weight_VD = ctx.gradients
        del ctx.gradients  # they are scaled in place, so they can be used once
        for gradient in (d_hidden_ND, d_weight_VD):
            if gradient is not None:
                gradient.mul_(outer[0])
        return d_hidden_ND, d_weight_VD, None, None
