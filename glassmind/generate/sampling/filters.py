"""Top-k, top-p and min-p as one threshold a row.

All three keep "everything at least as likely as some token", so once that token's logit is known,
the rest is one comparison, the tokens stay in vocabulary order, and rows with different settings
run through the same few lines.

Shapes: R rows, V vocabulary, C candidates (the largest few logits of a row, sorted).
"""

from __future__ import annotations

import torch
from torch import Tensor

# A nucleus seldom holds more tokens than this; where it does, the row is sorted in full.
NUCLEUS_CANDIDATES = 64


def filter_thresholds(
    logits_RV: Tensor, top_k_R: Tensor, top_p_R: Tensor, min_p_R: Tensor
) -> Tensor:
    """(R, 1): the least logit each row keeps. ``logits_RV`` are already divided by temperature.

    ``top_k_R`` (int64) 0 keeps all, and so do ``top_p_R`` 1 and ``min_p_R`` 0. Top-p counts the
    probabilities that top-k left, renormalised. Min-p compares with the likeliest token, which the
    other two always keep, so that its place in the order after them makes no difference.
    """
    vocab = logits_RV.shape[1]
    top_k_R1 = top_k_R.clamp(max=vocab)[:, None]
    all_of_k = top_k_R1 == 0
    n_candidates = max(int(top_k_R1.max()), NUCLEUS_CANDIDATES if bool((top_p_R < 1).any()) else 1)
    sorted_RC = logits_RV.topk(min(n_candidates, vocab), dim=1).values
    peak_R1 = sorted_RC[:, :1]
    kth_R1 = sorted_RC.gather(1, (top_k_R1 - 1).clamp(min=0))
    threshold_R1 = kth_R1.masked_fill(all_of_k, -torch.inf)
    # p >= min_p * p_max, in logarithms; log 0 is -inf, which keeps all.
    least_R1 = peak_R1 + min_p_R[:, None].log()
    nucleus_R1 = top_p_R[:, None] < 1
    if not bool(nucleus_R1.any()):
        return torch.maximum(threshold_R1, least_R1)

    weights_RV = (logits_RV - peak_R1).exp_()
    weights_RV.masked_fill_(logits_RV < threshold_R1, 0)
    goal_R1 = weights_RV.sum(1, keepdim=True) * top_p_R[:, None]
    reached_RC = (sorted_RC - peak_R1).exp_().cumsum(1) >= goal_R1
    if not bool((reached_RC[:, -1:] | ~nucleus_R1).all()):
        sorted_RC = logits_RV.sort(dim=1, descending=True).values
        reached_RC = (sorted_RC - peak_R1).exp_().cumsum(1) >= goal_R1
        # Rounding can leave the whole sum a hair short of a top_p just below 1.
        reached_RC[:, -1] = True
    # The first True of each row closes its nucleus (argmax returns the first of equals).
    closing_R1 = sorted_RC.gather(1, reached_RC.to(torch.int8).argmax(1, keepdim=True))
    closed_R1 = torch.where(nucleus_R1, torch.maximum(threshold_R1, closing_R1), threshold_R1)
    return torch.maximum(closed_R1, least_R1)
