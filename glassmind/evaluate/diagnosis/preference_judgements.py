"""What the figures of learning from preferences show that their loss does not."""

from __future__ import annotations

import math
from statistics import fmean

from glassmind.evaluate.diagnosis.judgement import Diagnosis
from glassmind.evaluate.diagnosis.stage_figures import (
    CERTAIN,
    FEWEST_ROWS,
    SMOOTH,
    StageFigures,
    noise_of,
)

LESS = 0.1
"""A log-probability has fallen if it is this share below its start, and by more than chance:
answers of different lengths make it differ from batch to batch."""


def chosen_answers_fall(run: StageFigures) -> Diagnosis | None:
    """Chosen answers that become less likely, while the loss, a difference, falls."""
    if len(run.chosen) < FEWEST_ROWS:
        return None
    values = [value for _, value in run.chosen]
    window = max(SMOOTH, len(values) // 4)
    first, last = fmean(values[:window]), fmean(values[-window:])
    noise = noise_of(values) * math.sqrt(2 / window)
    if last > first - max(LESS * abs(first), CERTAIN * noise):
        return None
    return Diagnosis(
        "chosen answers fall",
        f"The log-probability of chosen answers went from {first:.3g} to {last:.3g} nats.",
        "A preference loss looks only at the difference between two answers, and falls although "
        "both become less likely. What the model writes instead is in no pair.",
        "Look at what it writes. options.sft above 0 holds chosen answers up; a larger "
        "options.beta, a lower learning rate or fewer steps keep the model nearer to its start.",
        steps=(run.chosen[0][0], run.chosen[-1][0]),
    )
