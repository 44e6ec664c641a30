"""The feed-forward network: transforms each token's vector separately.

Two matrices with a non-linearity between them, applied to each token alone; the gated kinds have
a third matrix that decides, through the non-linearity, how much of each hidden number passes.
"""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from glassmind.model.config import FeedForwardKind, ModelConfig
from glassmind.model.taps import Tap


def gelu(x: Tensor) -> Tensor:
    """GELU in the tanh form that GPT-2 and its successors were trained with."""
    return F.gelu(x, approximate="tanh")


def relu_squared(x: Tensor) -> Tensor:
    return F.relu(x).square()


ACTIVATIONS: dict[FeedForwardKind, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "relu2": relu_squared,
    "gelu": gelu,
    "swiglu": F.silu,
    "geglu": gelu,
}
GATED: tuple[FeedForwardKind, ...] = ("swiglu", "geglu")


class FeedForward(nn.Module):
    """(B, T, D) -> (B, T, D). Tap ``hidden`` is the activated inner layer (B, T, d_hidden)."""

    def __init__(self, config: ModelConfig, d_hidden: int = 0) -> None:
        super().__init__()
        kind, bias = config.feed_forward.kind, config.feed_forward.bias
        d_hidden = d_hidden or config.d_hidden
        self.activation = ACTIVATIONS[kind]
        self.up = nn.Linear(config.d_model, d_hidden, bias=bias)
        self.gate = nn.Linear(config.d_model, d_hidden, bias=bias) if kind in GATED else None
        self.hidden = Tap()
        self.down = nn.Linear(d_hidden, config.d_model, bias=bias)

    def forward(self, x_BTD: Tensor) -> Tensor:
        hidden = self.up(x_BTD)
        if self.gate is not None:
            hidden = self.activation(self.gate(x_BTD)) * hidden
        else:
            hidden = self.activation(hidden)
        out_BTD: Tensor = self.down(self.hidden(hidden))
        return out_BTD
