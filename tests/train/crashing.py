"""A small training run in a process of its own, to be killed.

    python crashing.py FOLDER [STEPS]

It prints ``step N`` as it goes. Checkpoints are written after every step, so that many kills hit
one being written.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

from glassmind.data.batches.loader import RowLoader
from glassmind.data.batches.packing import stream
from glassmind.model import AttentionConfig, ModelConfig, Transformer
from glassmind.progress import Silent
from glassmind.runs.recipe import TrainConfig
from glassmind.train import Pretrain, Trainer, validation_loss

VOCAB, TOKENS = 64, 32


class Speak(Silent):
    def update(self, done: int, **figures: float) -> None:
        print(f"step {done}", flush=True)


def make_trainer(folder: Path, steps: int, stage: str = "pretrain") -> Trainer:
    """Everything fresh, as any process makes it."""
    torch.manual_seed(3)
    model = Transformer(
        ModelConfig(
            vocab_size=VOCAB,
            max_tokens=TOKENS,
            d_model=64,
            n_layers=2,
            attention=AttentionConfig(n_heads=4),
        )
    )
    config = TrainConfig(
        steps=steps,
        batch_rows=4,
        row_tokens=TOKENS,
        accumulate=2,
        log_every=3,
        validate_every=7,
        checkpoint_minutes=0.0,
        weights="best",
        precision="float32",
        compile="off",
    )
    ids = np.random.default_rng(0).integers(0, VOCAB, TOKENS * 50).astype(np.int32)
    objective = Pretrain(model)
    held = stream(ids[: TOKENS * 8], TOKENS)
    return Trainer(
        objective,
        RowLoader(stream(ids, TOKENS), config.batch_rows, seed=1),
        config,
        stage=stage,
        folder=folder,
        progress=Speak(),
        validate=lambda: validation_loss(objective, held, torch.device("cpu")),
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    make_trainer(Path(sys.argv[1]), int(sys.argv[2])).train()
