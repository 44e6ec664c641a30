"""Small random models of every published architecture, to be written as GGUF files and read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from glassmind.interop.pretrained import Pretrained
from glassmind.learn.architectures.scaled_down import scaled_down
from glassmind.model import PRESETS, ModelConfig, Transformer

VOCAB = 96  # whole blocks of 32
# What llama.cpp has no program for: the original transformer's norms and sinusoids, and windows in
# all layers of a Llama.
INEXPRESSIBLE = ("transformer", "mistral")


def small(name: str) -> ModelConfig:
    """The preset, scaled down."""
    return replace(scaled_down(PRESETS[name], d_model=64, max_tokens=64), vocab_size=VOCAB)


def random_model(config: ModelConfig, **talking: Any) -> Pretrained:
    """Every weight matters: norms, biases and the balance of experts too."""
    torch.manual_seed(0)
    model = Transformer(config).eval()
    for weight in model.parameters():
        weight.data += torch.randn_like(weight) * 0.2
    told: dict[str, Any] = {
        "tokenizer": None,
        "chat_template": None,
        "stop_ids": frozenset(),
        "bos_id": None,
        "name": "tiny",
        **talking,
    }
    return Pretrained(model=model, source=Path("nowhere"), **told)


def logits(model: Any, n_tokens: int = 48) -> Tensor:
    """Of two rows of random ids."""
    ids = torch.randint(VOCAB, (2, n_tokens), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        found = model(ids)
    return found if isinstance(found, Tensor) else found.logits
