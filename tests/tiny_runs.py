"""Real training runs of a second, healthy and ill, with the figures they record."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from glassmind.data.batches.loader import RowLoader
from glassmind.data.batches.packing import stream
from glassmind.evaluate.run_files import Metric
from glassmind.model import ModelConfig, Transformer
from glassmind.model.config import (
    AttentionConfig,
    FeedForwardConfig,
    FeedForwardKind,
    NormPlacement,
)
from glassmind.serialization import decode
from glassmind.train import Pretrain, to_batch
from glassmind.train.optimizers.muon import Muon
from glassmind.train.watching.inspection import Inspector

VOCABULARY, ROW = 24, 32
NO_AUTOCAST = torch.autocast("cpu", enabled=False)


def tiny_model(
    n_layers: int = 4,
    kind: FeedForwardKind = "relu2",
    placement: NormPlacement = "before",
) -> Transformer:
    torch.manual_seed(0)
    config = ModelConfig(
        vocab_size=VOCABULARY,
        d_model=32,
        n_layers=n_layers,
        max_tokens=ROW,
        norm_placement=placement,
        attention=AttentionConfig(n_heads=2),
        feed_forward=FeedForwardConfig(kind=kind, bias=True),
    )
    return Transformer(config)


def tiny_text(n: int, seed: int = 0) -> np.ndarray:
    """Ids where each says much about the next: a loss of about 1.5 can be learned."""
    table = np.random.default_rng(7).dirichlet(np.full(VOCABULARY, 0.1), VOCABULARY).cumsum(-1)
    ids = [0]
    for draw in np.random.default_rng(seed).random(n - 1):
        ids.append(min(VOCABULARY - 1, int(np.searchsorted(table[ids[-1]], draw))))
    return np.array(ids, np.int32)


def train_tiny(
    model: Transformer,
    steps: int = 60,
    *,
    muon_lr: float = 0.02,
    adamw_lr: float = 3e-3,
    inspect_every: int = 5,
    text: np.ndarray | None = None,
    held_out: np.ndarray | None = None,
    batch_rows: int = 8,
) -> list[Metric]:
    """Train with warm-up and decay; a row of metrics every step, as the trainer writes them."""
    objective = Pretrain(model)
    named = dict(model.named_parameters())
    matrices = [p for name, p in named.items() if "blocks." in name and p.dim() == 2]
    others = [p for p in named.values() if all(p is not m for m in matrices)]
    optimizers: Sequence[torch.optim.Optimizer] = (
        torch.optim.AdamW(others, lr=adamw_lr, betas=(0.9, 0.95), weight_decay=0.0),
        Muon(matrices, lr=muon_lr),
    )
    rows = stream(tiny_text(20_000) if text is None else text, ROW)
    loader = RowLoader(rows, min(batch_rows, len(rows)), 0)
    inspector = Inspector(objective, inspect_every, steps)
    written: list[dict[str, Any]] = []
    for step in range(1, steps + 1):
        factor = min(1, step / 10, (steps + 1 - step) / (0.5 * steps))
        batch = to_batch(loader.next(), torch.device("cpu"))
        watched = inspector.due(step)
        if watched:
            inspector.look(partial(objective.loss, batch), NO_AUTOCAST)
        loss, _ = objective.loss(batch)
        loss.backward()
        if watched:
            inspector.before_step()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer, peak in zip(optimizers, (adamw_lr, muon_lr), strict=True):
            optimizer.param_groups[0]["lr"] = peak * factor
            optimizer.step()
            optimizer.zero_grad()
        row = {"step": step, "loss": loss.item(), "lr": factor, "tokens": step * batch.ids.numel()}
        written.append(row)
        if watched:
            written.append({"step": step, "inspection": inspector.after_step(loss)})
        if held_out is not None and step % 10 == 0:
            with torch.no_grad():
                checked = to_batch(stream(held_out, ROW), torch.device("cpu"))
                written.append({"step": step, "validation_loss": objective.loss(checked)[0].item()})
    return [decode(Metric, {"stage": "pretrain"} | row, "row") for row in written]
