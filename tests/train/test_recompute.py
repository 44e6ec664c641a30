"""Running blocks again in the backward pass: the same numbers, less kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from glassmind.data.batches.loader import RowLoader
from glassmind.data.batches.packing import stream
from glassmind.model import (
    AttentionConfig,
    ExpertsConfig,
    FeedForwardConfig,
    ModelConfig,
    Transformer,
)
from glassmind.runs.recipe import TrainConfig
from glassmind.train import Pretrain, Trainer

DENSE = ModelConfig(
    vocab_size=31, max_tokens=32, d_model=32, n_layers=3, attention=AttentionConfig(n_heads=2)
)
SPARSE = replace(
    DENSE,
    feed_forward=FeedForwardConfig("swiglu", d_hidden=24),
    experts=ExpertsConfig(n_experts=4, n_active=2, d_hidden=16),
)
CONFIG = TrainConfig(
    steps=4, batch_rows=4, row_tokens=32, warmup=1, precision="float32", compile="off"
)


def trainer(model: ModelConfig, config: TrainConfig) -> Trainer:
    torch.manual_seed(7)
    ids = np.random.default_rng(0).integers(0, 31, 32 * 20).astype(np.int32)
    loader = RowLoader(stream(ids, 32), config.batch_rows, seed=1)
    return Trainer(Pretrain(Transformer(model)), loader, config, stage="x")


@pytest.mark.parametrize(
    ("model", "compile"),
    [(DENSE, "off"), (SPARSE, "off"), (DENSE, "on")],
    ids=["dense", "experts", "compiled"],
)
def test_the_same_bits(model: ModelConfig, compile: str) -> None:
    config = replace(CONFIG, compile=compile)
    plain, again = (
        trainer(model, replace(config, recompute=recompute)) for recompute in (False, True)
    )
    plain.train()
    again.train()
    parameters = plain.objective.module.parameters(), again.objective.module.parameters()
    assert all(torch.equal(a, b) for a, b in zip(*parameters, strict=True))


def kept(recompute: bool) -> int:
    """Bytes that a forward pass keeps for the backward one, parameters aside."""
    it = trainer(DENSE, replace(CONFIG, recompute=recompute))
    parameters = {p.untyped_storage().data_ptr() for p in it.objective.module.parameters()}
    storages: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    batch = torch.randint(0, 31, (4, 32))
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        it.objective.module.hidden(batch)
    return sum(storages.values())


def test_less_is_kept() -> None:
    row = 4 * 32 * 32 * 4  # one residual stream, (B, T, D) in float32
    assert kept(False) > 25 * row
    assert kept(True) < 8 * row  # what enters each of three blocks, and what stands around them
