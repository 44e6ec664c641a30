"""From a dot product to a score: scale, window, and the bias of some kinds of positions.

Besides softmax(q·k), attention has a scale, a mask, in some layers a window, and in some models a
bias that depends on the distance. ``Scoring`` holds the settings of a layer; ``VisibleKeys``
combines them with the mask and positions of one forward pass, and can compute any *tile* of the
table "which query sees which key, and with what bias". For a short sequence the whole table is
computed, a long one is processed tile by tile (``chunked.py``), and a plain causal mask needs no
table.

Shapes: B batch, T tokens, H heads.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from glassmind.model.config import StepMask
from glassmind.model.masks import Mask, causal, flow, inductive
from glassmind.model.positions import ScoreBias
from glassmind.model.step_marks import StepMarks

DENSE_UP_TO = 2048  # tokens; a table of booleans for more than that is not worth its memory


@dataclass(frozen=True, eq=False)
class Scoring:
    """What one layer does to q·k: ``scale``; ``window`` (0: none); the positions' ``bias``; and
    which earlier steps of a chain of thought it sees (``ReasoningConfig.mask``)."""

    scale: float
    window: int = 0
    bias: ScoreBias | None = None
    steps: StepMask = "causal"

    @property
    def slopes_H(self) -> Tensor | None:
        """The slopes of the bias, if it is proportional to the distance."""
        return None if self.bias is None else self.bias.slopes_H

    def step_mask(self, marks: StepMarks | None) -> Mask | None:
        """The mask that steps ask for; ``None`` if that is no more than causal."""
        if self.steps == "causal":
            return None
        assert marks is not None
        make = flow if self.steps == "flow" else inductive
        return make(marks.segment, marks.role)

    def lower(
        self,
        mask: Mask | Tensor | None,
        positions: Tensor,
        batch: int,
        tokens: int,
        marks: StepMarks | None = None,
    ) -> Tensor | VisibleKeys | None:
        """The argument of an attention kernel for ``mask`` over ``tokens`` tokens.

        ``None`` for plain causal attention; a tensor that broadcasts to (B, H, T, T), boolean
        (True = visible) or floats to add; or, where that would be too large, a ``VisibleKeys``.
        ``marks`` are needed by models that read steps.
        """
        if isinstance(mask, Tensor) and mask.dim() == 3:
            mask = mask.unsqueeze(1)
        near = not self.window or tokens <= self.window
        plain = near and self.bias is None and self.steps == "causal"
        if plain and not isinstance(mask, Mask):
            return mask
        visible = VisibleKeys(self, mask, positions, batch, marks)
        learns = self.bias is not None and self.bias.learns
        if tokens <= DENSE_UP_TO or isinstance(mask, Tensor) or learns:
            every = torch.arange(tokens, device=positions.device)
            return visible.tile(every, every)
        return visible


@dataclass(frozen=True, eq=False)
class VisibleKeys:
    """Which keys each query sees in one pass, and what is added to their scores.

    ``positions`` are (T,) or (B, T).
    """

    scoring: Scoring
    mask: Mask | Tensor | None
    positions: Tensor
    batch: int
    marks: StepMarks | None = None

    def tile(self, queries: Tensor, keys: Tensor) -> Tensor:
        """For some queries (Q,) and keys (S,), given by index: broadcasts to (B, H, Q, S).

        Boolean where nothing is added to scores, floats (-inf: hidden) otherwise.
        """
        if isinstance(self.mask, Tensor):
            visible = self.mask[..., queries[:, None], keys]
        else:
            mask, batch = (causal, 1) if self.mask is None else (self.mask, self.batch)
            visible = mask.tile(batch, queries, keys).unsqueeze(1)
        by_steps = self.scoring.step_mask(self.marks)
        if by_steps is not None:
            seen = by_steps.tile(self.batch, queries, keys).unsqueeze(1)
            if visible.dtype == torch.bool:
                visible = visible & seen
            else:
                visible = visible.masked_fill(~seen, float("-inf"))
        window, bias = self.scoring.window, self.scoring.bias
        if not window and bias is None:
            return visible
        places = self.positions if self.positions.dim() == 2 else self.positions[None]
        distance_B1QS = (places[:, queries, None] - places[:, None, keys]).unsqueeze(1)
        if bias is not None:
            marks = self.marks
            steps = None if marks is None else (marks.at(queries), marks.at(keys))
            added = bias(distance_B1QS, steps)
            if visible.dtype == torch.bool:
                visible = added.masked_fill(~visible, float("-inf"))
            else:
                visible = visible + added
        if not window:
            return visible
        hidden = distance_B1QS >= window
        if visible.dtype == torch.bool:
            return visible & ~hidden
        return visible.masked_fill(hidden, float("-inf"))
