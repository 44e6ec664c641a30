"""Weights must be numbers: a NaN or an infinity among them spreads to whatever it is added to.

A model with one answers all the same, and wrongly: a comparison with NaN is false, so that a
verifier's NaN silently lets another chain win. So every reader of weights refuses them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from glassmind.errors import UserError


def is_finite(weights: Sequence[Tensor]) -> bool:
    """Whether every number of these tensors is one."""
    if not weights:
        return True
    # Terms of a finite sum are finite. The sum is fast; if it overflows, each term is looked at.
    sums = torch.stack([weight.detach().sum(dtype=torch.float32) for weight in weights])
    return bool(sums.isfinite().all()) or all(bool(w.isfinite().all()) for w in weights)


def require_finite(weights: Sequence[Tensor], what: str) -> None:
    """Raise ``UserError``, which begins with ``what``, if a number of these tensors is none."""
    if not is_finite(weights):
        raise UserError(
            f"{what} holds a weight that is not a number (NaN or infinite): the file is damaged, "
            "or training diverged; use an earlier checkpoint"
        )
