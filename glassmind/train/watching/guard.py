"""The guard: checks the loss and gradient of every step, and reports what is wrong.

Three things go wrong in training. A loss or a gradient is *not a number* (NaN or infinity), and one
update with it destroys the weights. Training *diverges*: the loss stays far above where it began,
and whatever was learned is lost as well. Or the loss *spikes* far above its neighbours: usually the
batch is strange, and its update does harm that takes hundreds of steps to undo. The recipe chooses
what to do (``train.on_nan`` for the first two, ``train.on_spike`` for the third):

    stop     end the run with an error; the last checkpoint is from before
    skip     leave the batch out: the weights stay, the next step takes the next batch
    rewind   go back to the last checkpoint and continue with the batches after this one, as PaLM
             was trained (Chowdhery et al. 2022, arXiv 2204.02311, section 5.1)
    note     (spikes only) take the step, and record that it happened

In any case the batch and the weights are kept in ``trouble/`` of the run's folder.

To leave a step out, its loss has to be known before the weights move. On a GPU that means waiting
in every step until everything queued there is done. With the policies ``stop`` and ``note``, the
default, no step is left out of a run that goes on, so the trainer reads the loss of a step only
after queueing the next one (``can_lag``), and the GPU never idles. The update of a step that is not
finite is then suppressed on the GPU itself, and so is every update after it.
"""

from __future__ import annotations

import math
import statistics
from collections import deque
from dataclasses import dataclass
from typing import Literal

from glassmind.train.state import State

Policy = Literal["stop", "skip", "rewind", "note"]

WINDOW = 128
"""Losses that a new one is compared with."""
ENOUGH = 32
"""How many losses it takes to call one a spike, or training divergent."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What was wrong with a step, as a sentence, and the policy for it."""

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

    @property
    def can_lag(self) -> bool:
        """Whether a step may be taken before it is judged, because no step will be left out."""
        return self.on_nan == "stop" and self.on_spike == "note"

    def state(self) -> State:
        return {"guard": [*self.recent], "guard_first": self.first, "guard_above": self.above}

    def restore(self, state: State) -> None:
        self.recent.clear()
        self.recent.extend(map(float, state["guard"]))
        first = state["guard_first"]
        self.first = None if first is None else float(first)
        self.above = int(state["guard_above"])

    def judge(self, loss: float, gradient_norm: float) -> Trouble | None:
        """What is wrong with a step; ``None`` if nothing is. A good loss is remembered."""
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
