"""The feed-forward network: what a token does with what it has gathered.

Two matrices with a non-linearity between them, applied to each token alone; ``swiglu`` has a third
that gates the hidden layer.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from glassmind.model.config import ModelConfig
from glassmind.model.probe import Tap


class FeedForward(nn.Module):
    """(B, T, D) -> (B, T, D). Tap ``hidden`` is the activated inner layer (B, T, d_hidden)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        kind, bias = config.feed_forward.kind, config.feed_forward.bias
        self.kind = kind
        self.up = nn.Linear(config.d_model, config.d_hidden, bias=bias)
        gated = kind == "swiglu"
        self.gate = nn.Linear(config.d_model, config.d_hidden, bias=bias) if gated else None
        self.hidden = Tap()
        self.down = nn.Linear(config.d_hidden, config.d_model, bias=bias)

    def forward(self, x_BTD: Tensor) -> Tensor:
        hidden = self.up(x_BTD)
        if self.gate is not None:
            hidden = F.silu(self.gate(x_BTD)) * hidden
        elif self.kind == "gelu":
            hidden = F.gelu(hidden, approximate="tanh")
        else:
            hidden = F.relu(hidden).square()
        out_BTD: Tensor = self.down(self.hidden(hidden))
        return out_BTD
