"""Where a token stands: learned and sinusoidal vectors, and rotary embedding (RoPE).

Learned and sinusoidal positions are *added* to the token embedding once, at the bottom. RoPE adds
nothing: in every attention it turns each pair of query and key coordinates by an angle
proportional to the token's position, so that a score depends on the *distance* between two tokens.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from glassmind.model.config import ModelConfig


def sinusoidal_table(n_positions: int, d_model: int) -> Tensor:
    """(n_positions, d_model) table of Vaswani et al. 2017 §3.5: sines then cosines.

    Angles fall geometrically from 1 to 1/10000 radians per position over the ``d_model/2``
    frequencies. The halves are concatenated rather than interleaved, a permutation of the
    paper's layout that the first linear layer absorbs.
    """
    half = d_model // 2
    frequency = torch.exp(-torch.arange(half).float() * (torch.log(torch.tensor(1e4)) / half))
    angle = torch.arange(n_positions).float()[:, None] * frequency
    return torch.cat((angle.sin(), angle.cos()), dim=-1)


def rope_table(n_positions: int, head_dim: int, theta: float) -> tuple[Tensor, Tensor]:
    """Cosine and sine of every position's angle for every pair, each (n_positions, head_dim/2).

    Pair *i* turns by ``theta**(-2i/head_dim)`` radians per position (Su et al. 2021, eq. 15).
    """
    exponent = torch.arange(0, head_dim, 2).double() / head_dim
    angle = torch.arange(n_positions).double()[:, None] * theta**-exponent
    return angle.cos().float(), angle.sin().float()


def rotate(x_BTHE: Tensor, cos_BTe: Tensor, sin_BTe: Tensor) -> Tensor:
    """Turn the pairs (x[i], x[i + E/2]) of every head by the given angles.

    The pairing of first half with second half is the one GPT-NeoX and Llama checkpoints use; the
    paper pairs neighbours, a fixed permutation of the coordinates. ``cos_BTe`` and ``sin_BTe``
    are (B, T, E/2) or (T, E/2).
    """
    cos, sin = cos_BTe.unsqueeze(-2), sin_BTe.unsqueeze(-2)
    first, second = x_BTHE.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


class AbsolutePositions(nn.Module):
    """The vector added to each token's embedding for its position: (T,) or (B, T) -> (.., D)."""

    table: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        if config.positions.kind == "learned":
            self.table = nn.Parameter(torch.randn(config.max_tokens, config.d_model) * 0.02)
        else:
            table = sinusoidal_table(config.max_tokens, config.d_model)
            self.register_buffer("table", table, persistent=False)

    def forward(self, positions: Tensor) -> Tensor:
        return self.table[positions]
