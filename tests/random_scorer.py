"""A tiny verifier with random weights: its scores mean nothing, and all differ."""

from __future__ import annotations

import torch

from glassmind.model import AttentionConfig, ModelConfig, TokenScorer, Transformer


def random_scorer(vocab_size: int, features: int = 0) -> TokenScorer:
    """Two layers and one of the judge, the same at every call. With ``features``, a weighing that
    has not been fitted."""
    config = ModelConfig(
        vocab_size=vocab_size,
        max_tokens=256,
        d_model=16,
        n_layers=2,
        attention=AttentionConfig(n_heads=2),
    )
    made = TokenScorer(Transformer(config), 1, features)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter is not made.weighing:
                parameter.normal_(std=0.3, generator=generator)
    return made.eval()
