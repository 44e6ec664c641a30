"""The guard: looks at every step before the weights move, and says when something is wrong.

Three things go wrong in training. A loss or a gradient is *no number* (NaN or infinity): one update
with it, and the weights are gone. Training *diverges*: the loss stays far above where it began, and
whatever was learned is gone as well. Or the loss *spikes*, far above its neighbours: usually a
strange batch, and the update it asks for does harm that takes hundreds of steps to undo. What to do
is the recipe's choice (``train.on_nan`` for the first two, ``train.on_spike``):

    stop     end the run with a sentence; the last checkpoint is from before
    skip     leave the batch out: the weights stay, the next step takes the next batch
    rewind   go back to the last checkpoint and on with the batches after this one, as PaLM was
             trained (Chowdhery et al. 2022, arXiv 2204.02311, section 5.1)
    note     (spikes only) take the step, and write down that it happened

Whatever the choice, the batch and the weights it met are kept in ``trouble/`` of the run's folder.
"""

from __future__ import annotations

import math
import statistics
from collections import deque
from dataclasses import dataclass
from typing import Literal

Policy = Literal["stop", "skip", "rewind", "note"]

WINDOW = 128
"""Losses that a new one is compared with."""
ENOUGH = 32
"""Before so many, nothing is called a spike."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What was wrong with a step: ``sentence`` for people, ``policy`` for the trainer."""

    sentence: str
    policy: Policy


class Guard:
    """Judges steps by their loss and the norm of their gradient.

    A spike is a loss more than ``sigmas`` standard deviations above the mean of the last ones.
    Training diverges when ``ENOUGH`` losses in a row are above three times the first, plus one.
    """

    def __init__(self, on_nan: Policy, on_spike: Policy, sigmas: float) -> None:
        self.on_nan, self.on_spike, self.sigmas = on_nan, on_spike, sigmas
        self.recent: deque[float] = deque(maxlen=WINDOW)
        self.first: float | None = None
        self.above = 0  # losses in a row that are far above the first

    def judge(self, loss: float, gradient_norm: float) -> Trouble | None:
        """``None`` for a step to be taken; its loss is then one that later ones are judged by."""
        if not math.isfinite(loss):
            return Trouble(f"the loss is {loss}", self.on_nan)
        if not math.isfinite(gradient_norm):
            return Trouble(f"the gradient's norm is {gradient_norm}", self.on_nan)
        if self.first is None:
            self.first = loss
        self.above = self.above + 1 if loss > 3 * abs(self.first) + 1 else 0
        if self.above == ENOUGH:
            self.above = 0
            sentence = (
                f"the loss is {loss:.4g} and was {self.first:.4g} at first: training diverges"
            )
            return Trouble(sentence, self.on_nan)
        if len(self.recent) >= ENOUGH:
            mean, deviation = statistics.fmean(self.recent), statistics.pstdev(self.recent)
            if loss > mean + self.sigmas * deviation:
                sentence = f"the loss is {loss:.4g}, after {mean:.4g} ± {deviation:.2g} before"
                return Trouble(sentence, self.on_spike)
        self.recent.append(loss)
        return None
