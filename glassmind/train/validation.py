"""The loss on data that is not trained on."""

from __future__ import annotations

import torch

from glassmind.data.loader import Rows
from glassmind.train.objective import Objective, to_batch

ROWS_AT_ONCE = 16


@torch.inference_mode()
def validation_loss(objective: Objective, rows: Rows, device: torch.device) -> float:
    """Mean loss (nats) over all tokens of ``rows`` that the objective counts."""
    total = count = 0.0
    # A trainer compiled the blocks for training; these few passes are not worth compiling again.
    with torch.compiler.set_stance("force_eager"):
        for start in range(0, len(rows), ROWS_AT_ONCE):
            batch = to_batch(rows.take(slice(start, start + ROWS_AT_ONCE)), device)
            n = objective.weight(batch)
            if n:
                total, count = total + float(objective.loss(batch)[0]) * n, count + n
    return total / max(1.0, count)
