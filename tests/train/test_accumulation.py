"""Gradients summed over micro-batches are those of the one large batch, padding and all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from glassmind.data.batches.columns import COMPLETION
from glassmind.data.batches.loader import RowLoader
from glassmind.data.batches.packing import Document, pack
from glassmind.model import AttentionConfig, ModelConfig, Transformer
from glassmind.runs.recipe import TrainConfig
from glassmind.train import Pretrain, SupervisedFineTuning, Trainer

CONFIG = TrainConfig(
    steps=6, batch_rows=8, row_tokens=24, warmup=2, precision="float32", compile="off"
)


def trained(objective: type[Pretrain], config: TrainConfig) -> Trainer:
    torch.manual_seed(7)
    model = Transformer(
        ModelConfig(
            vocab_size=31,
            max_tokens=24,
            d_model=16,
            n_layers=2,
            attention=AttentionConfig(n_heads=2),
        )
    )
    draw = np.random.default_rng(0)
    documents = []
    for _ in range(120):  # completions of very different length: micro-batches weigh differently
        length = int(draw.integers(4, 24))
        ids = draw.integers(0, 31, length).astype(np.int32)
        written = np.arange(length) >= int(draw.integers(1, length))
        documents.append(Document(ids, {COMPLETION: written}))
    rows = pack(documents, 24, pad_id=0)
    trainer = Trainer(
        objective(model), RowLoader(rows, config.batch_rows, seed=1), config, stage="x"
    )
    trainer.train()
    return trainer


@pytest.mark.parametrize("objective", [Pretrain, SupervisedFineTuning])
@pytest.mark.parametrize("accumulate", [2, 4, 8])
@pytest.mark.parametrize("muon_lr", [0.0, 0.02])
def test_micro_batches_give_the_update_of_the_whole(
    objective: type[Pretrain], accumulate: int, muon_lr: float
) -> None:
    """Float32 sums in another order: 1e-5 of the largest weight after six steps."""
    config = replace(CONFIG, muon_lr=muon_lr)
    whole = trained(objective, config)
    parts = trained(objective, replace(config, batch_rows=8 // accumulate, accumulate=accumulate))
    assert parts.counters.tokens == whole.counters.tokens
    for one, two in zip(
        whole.objective.module.parameters(), parts.objective.module.parameters(), strict=True
    ):
        torch.testing.assert_close(
            one, two, rtol=0, atol=1e-5 * max(1.0, float(one.detach().abs().max()))
        )
