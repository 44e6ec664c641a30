"""Runs whose models were made and never trained: quick, and with every weight of their own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from glassmind.model import ModelConfig, Transformer
from glassmind.runs.folder import open_run
from glassmind.runs.models import save_model
from glassmind.runs.recipe import read_recipe
from glassmind.tokenize import save, train_bpe

TEXTS = ["Mia has 3 boxes of 12 pencils. She gives 5 away. How many pencils are left?"]


def untrained_run(folder: Path, stage: str, model: ModelConfig) -> None:
    """A run with ``model`` and a tokenizer learned from ``TEXTS``, no larger than its vocabulary.

    ``stage`` is what the model passes for.
    """
    torch.manual_seed(0)
    tokenizer = train_bpe(TEXTS, model.vocab_size)
    config = replace(model, vocab_size=tokenizer.vocab_size)
    run = open_run(folder, replace(read_recipe("text"), model=config), resume=False)
    save(tokenizer, run.path / "tokenizer.json")
    transformer = Transformer(config)
    with torch.no_grad():
        for weight in transformer.parameters():  # some begin at zero
            weight.add_(torch.randn_like(weight) * 0.1)
    save_model(run.model_folder(stage), transformer, tokenizer, stage)
