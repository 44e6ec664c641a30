"""What a model is, in a few facts: for people who print one."""

from __future__ import annotations

from torch import nn

from glassmind.model.config import ModelConfig
from glassmind.quantity import quantity


def model_facts(config: ModelConfig, module: nn.Module) -> list[tuple[str, str]]:
    """Parameters, shape and context of a model, as named facts."""
    n_parameters = sum(parameter.numel() for parameter in module.parameters())
    shape = f"{quantity(config.n_layers, 'layer')} of width {config.d_model}"
    return [
        ("parameters", f"{n_parameters:,}"),
        ("shape", f"{shape}, {quantity(config.attention.n_heads, 'head')}"),
        ("vocabulary", f"{config.vocab_size:,}"),
        ("context", quantity(config.max_tokens, "token")),
    ]
