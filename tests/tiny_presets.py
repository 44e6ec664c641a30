"""Every published architecture, small enough to run a test on in a moment."""

from __future__ import annotations

from dataclasses import replace

import torch

from glassmind.learn.architectures.scaled_down import scaled_down
from glassmind.model import PRESETS, Transformer

VOCAB = 61


def tiny(name: str) -> Transformer:
    """The preset with a window of 8 tokens, and every weight random."""
    config = replace(scaled_down(PRESETS[name], d_model=32, max_tokens=64), vocab_size=VOCAB)
    model = Transformer(config)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3, generator=generator)
    return model.eval()
