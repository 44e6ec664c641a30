"""The learning rate over time, as a factor of its peak.

Both schedules warm up linearly. ``cosine`` then follows half a cosine down to zero (Loshchilov &
Hutter 2016, arXiv 1608.03983); ``stable-decay`` stays at the peak and falls linearly to zero over
the last part (Hu et al. 2024, 2404.06395; Hägele et al. 2024, 2405.18392), so that a run can be
extended without starting over.
"""

from __future__ import annotations

import math
from typing import Literal

Schedule = Literal["cosine", "stable-decay"]


def learning_rate_factor(
    step: int, total: int, *, schedule: Schedule, warmup: int, decay_fraction: float
) -> float:
    """Factor in (0, 1] for ``step`` (from 0) of ``total``; ``warmup`` is in steps.

    ``decay_fraction`` is the share of the run that ``stable-decay`` spends falling.
    """
    if step < warmup:
        return (step + 1) / warmup
    if schedule == "cosine":
        progress = (step - warmup) / max(1, total - warmup)
        return 0.5 * (1 + math.cos(math.pi * progress))
    decay_steps = max(1, round(total * decay_fraction))
    return min(1.0, (total - step) / decay_steps)
