"""Tiny models that read steps, and random chains of thought for them."""

from __future__ import annotations

import numpy as np
import torch

from glassmind.data.batches.packing import Document, PackedRows, pack
from glassmind.model import ModelConfig, Transformer
from glassmind.model.config import AttentionConfig, PositionConfig, ReasoningConfig

KINDS = "XQTSKAX" + "wdddo=._rw"
"""The special tokens in their usual order, then a word, three digits, + = . _ =7 and a word."""
QUESTION, THINK, STEP, END_THINK, ANSWER, END = range(1, 7)

READING = {
    "flow": ReasoningConfig(mask="flow"),
    "inductive": ReasoningConfig(mask="inductive", positions="restart"),
    "restart": ReasoningConfig(positions="restart"),
    "bias": ReasoningConfig(step_bias=True),
    "all": ReasoningConfig(mask="flow", positions="restart", step_bias=True),
}
"""What a model can read steps for, by name."""


def reading_model(name: str, max_tokens: int = 128, kind: str = "rope") -> Transformer:
    """An untrained model whose every output depends on every switch that is on."""
    reasoning = READING[name]
    config = ModelConfig(
        vocab_size=len(KINDS),
        max_tokens=max_tokens,
        d_model=16,
        n_layers=2,
        attention=AttentionConfig(n_heads=4, n_kv_heads=2),
        positions=PositionConfig(kind=kind),  # type: ignore[arg-type]
        reasoning=ReasoningConfig(reasoning.mask, reasoning.positions, reasoning.step_bias, KINDS),
    )
    torch.manual_seed(0)
    model = Transformer(config).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return model


def a_prompt(rng: np.random.Generator) -> list[int]:
    return [QUESTION, *rng.integers(7, len(KINDS), 3 + rng.integers(5)).tolist(), THINK]


def a_chain(rng: np.random.Generator, n_steps: int) -> list[int]:
    """A completion of random steps."""
    chain: list[int] = []
    for _ in range(n_steps):
        chain += [*rng.integers(7, len(KINDS), 2 + rng.integers(5)).tolist(), STEP]
    return [*chain, END_THINK, ANSWER, *rng.integers(7, len(KINDS), 2).tolist(), END]


def packed(documents: list[list[int]], row_tokens: int = 64) -> PackedRows:
    return pack([Document(np.array(ids, np.int32)) for ids in documents], row_tokens, 0)
