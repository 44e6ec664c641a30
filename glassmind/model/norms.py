"""Normalisation: keeps every token's vector at a scale that the next layer expects.

LayerNorm (Ba et al. 2016, arXiv 1607.06450) subtracts the mean and divides by the standard
deviation; RMSNorm (Zhang & Sennrich 2019, 1910.07467) only divides by the root mean square,
which is cheaper and works as well.
"""

from __future__ import annotations

import warnings

from torch import nn

from glassmind.model.config import ModelConfig


def silence_fusion_warning() -> None:
    """Hide one warning of PyTorch, which would open nearly every run in bfloat16.

    Its fused kernel for RMSNorm takes inputs and weights of one type. Under autocast the stream is
    in bfloat16 and the weights are in float32, and it announces that it computes the plain formula
    instead. That is wanted: the formula computes in float32, casting the weights would lose half of
    their digits, and ``torch.compile`` fuses it anyway.
    """
    warnings.filterwarnings("ignore", "Mismatch dtype between input and weight")


silence_fusion_warning()


def make_norm(config: ModelConfig, width: int | None = None) -> nn.Module:
    """The norm that ``config`` names, over the last dimension (``d_model`` unless given)."""
    width = width or config.d_model
    if config.norm == "layernorm":
        return nn.LayerNorm(width, eps=config.norm_eps)
    return nn.RMSNorm(width, eps=config.norm_eps)
