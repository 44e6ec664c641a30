"""Normalisation: keeps every token's vector at a scale that the next layer expects.

LayerNorm (Ba et al. 2016, arXiv 1607.06450) subtracts the mean and divides by the standard
deviation; RMSNorm (Zhang & Sennrich 2019, 1910.07467) only divides by the root mean square,
which is cheaper and works as well.
"""

from __future__ import annotations

from torch import nn

from glassmind.model.config import ModelConfig


def make_norm(config: ModelConfig, width: int | None = None) -> nn.Module:
    """The norm that ``config`` names, over the last dimension (``d_model`` unless given)."""
    width = width or config.d_model
    if config.norm == "layernorm":
        return nn.LayerNorm(width, eps=config.norm_eps)
    return nn.RMSNorm(width, eps=config.norm_eps)
