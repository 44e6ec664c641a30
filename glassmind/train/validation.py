"""Validation: the loss on data that is not trained on."""

from __future__ import annotations

import torch

from glassmind.data.batches.loader import Rows
from glassmind.model.eager import uncompiled
from glassmind.train.batch import to_batch
from glassmind.train.objectives.objective import Objective

ROWS_AT_ONCE = 16


@torch.inference_mode()
def validation_loss(objective: Objective, rows: Rows, device: torch.device) -> float:
    """Mean loss (nats) over all terms of ``rows`` that the objective counts.

    The module is in evaluation mode meanwhile: without dropout, and its routers do not count the
    validation tokens for balancing.
    """
    total = count = 0.0
    training = [module for module in objective.module.modules() if module.training]
    objective.module.eval()
    try:
        # A trainer compiled the blocks for training; these few passes are not worth compiling.
        with uncompiled():
            for start in range(0, len(rows), ROWS_AT_ONCE):
                batch = to_batch(rows.take(slice(start, start + ROWS_AT_ONCE)), device)
                n = objective.weight(batch)
                if n:
                    total, count = total + float(objective.loss(batch)[0]) * n, count + n
    finally:
        for module in training:
            module.training = True
    return total / max(1.0, count)
