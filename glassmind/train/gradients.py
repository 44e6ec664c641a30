"""The gradient of one step: over several micro-batches, in one or several processes.

With n the number of terms of a batch (``Objective.weight``) and N that of all batches in all
processes, the gradient is that of the mean over all terms:

    L = sum over batches of  n / N · (the batch's mean loss)

so accumulating small batches gives the update of one large batch, however unevenly the terms are
spread over them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from glassmind.train.batch import Batch
from glassmind.train.objectives.objective import Objective
from glassmind.train.processes.process_group import ProcessGroup

Share = float | Tensor


@dataclass(frozen=True, slots=True)
class Figures:
    """What the objective reported about each batch, and the batch's share in the mean."""

    reported: list[tuple[Share, dict[str, float | Tensor]]]
    largest: frozenset[str] = frozenset()  # names of the figures whose maximum is meant

    def of_all(self, group: ProcessGroup) -> dict[str, float]:
        """The mean of every figure, or its maximum, over all processes. Waits for the device, so it
        is called only for steps that are logged; all processes must call it."""
        sums: dict[str, float] = {}
        most: dict[str, float] = {}
        for share, figures in self.reported:
            for name, value in figures.items():
                if name in self.largest:
                    most[name] = max(most.get(name, -math.inf), float(value))
                else:
                    sums[name] = sums.get(name, 0.0) + float(value) * float(share)
        found = dict(zip(sums, group.sum([*sums.values()]), strict=True)) if sums else {}
        if most:
            found |= zip(most, group.largest([*most.values()]), strict=True)
        return found


def accumulate_gradients(
    objective: Objective,
    batches: Sequence[Batch],
    group: ProcessGroup,
    autocast: torch.autocast,
) -> tuple[Tensor, Figures]:
    """Leave the gradient of the equation above in ``grad``; the loss, a scalar on the device."""
    weights = [objective.weight(batch) for batch in batches]
    device = batches[0].ids.device
    shares = group.shares(weights, device)
    mean = torch.zeros((), device=device)
    reported = []
    for number, (batch, weight, share) in enumerate(zip(batches, weights, shares, strict=True)):
        with group.gradient_sync(last=number == len(batches) - 1):
            with autocast:
                loss, figures = group.loss(objective, batch)
            # Times the number of processes, because gradients are averaged over them.
            (loss * _scalar(share * group.size, loss)).backward()
        if weight:  # the mean over no terms is not a number
            mean += loss.detach() * _scalar(share, loss)
        reported.append((share, figures))
    return group.all_reduce(mean), Figures(reported, objective.largest)


def _scalar(share: Share, like: Tensor) -> Share:
    return share.to(like.dtype) if isinstance(share, Tensor) else share
