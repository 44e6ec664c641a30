"""The loss that guides a head, against loops over tokens and the watched attention weights."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from glassmind.data.batches.columns import COMPLETION
from glassmind.data.batches.dependencies import OPERAND_FROM, QUANTITY
from glassmind.data.batches.packing import Document, PackedRows, pack
from glassmind.errors import UserError
from glassmind.model import Transformer, probe
from glassmind.train import SupervisedFineTuning
from glassmind.train.batch import Batch, to_batch
from glassmind.train.objectives.dependencies import GuidedFineTuning
from tests.step_models import a_chain, a_prompt, reading_model


@pytest.fixture(scope="module")
def rows() -> PackedRows:
    rng = np.random.default_rng(0)
    documents = []
    for n_steps in (1, 2, 3):
        prompt, chain = a_prompt(rng), a_chain(rng, n_steps)
        ids = np.array(prompt + chain, np.int32)
        quantity, needs = np.zeros((2, len(ids)), np.int64)
        quantity[[1, 2]], quantity[3] = 1, 2
        needs[[len(prompt), len(prompt) + 1]] = 1, 2
        columns = {
            COMPLETION: np.arange(len(ids)) >= len(prompt),
            QUANTITY: quantity,
            OPERAND_FROM: needs,
        }
        documents.append(Document(ids, columns))
    return pack(documents, 96, 0)


def by_loops(model: Transformer, batch: Batch, layer: int, head: int) -> float:
    with torch.no_grad(), probe(model, read=[f"blocks.{layer}.attention.weights"]) as seen:
        model(batch.ids, positions=batch.positions, mask=batch.mask, previous=batch.previous)
    (weights_BHTT,) = seen.values()
    terms = []
    for b, t in zip(*np.nonzero(batch.rows[OPERAND_FROM]), strict=True):
        wanted, document = batch.rows[OPERAND_FROM][b, t], batch.rows.documents[b, t]
        share = sum(
            float(weights_BHTT[b, head, batch.rows.previous[b, t], s])
            for s in range(batch.ids.shape[1])
            if batch.rows[QUANTITY][b, s] == wanted and batch.rows.documents[b, s] == document
        )
        terms.append(-math.log(share))
    return sum(terms) / len(terms)


@pytest.mark.parametrize("name", ["restart", "all"])
def test_the_loss_equals_the_loops(rows: PackedRows, name: str) -> None:
    model = reading_model(name).train()
    batch = to_batch(rows, torch.device("cpu"))
    objective = GuidedFineTuning(model, weight=0.5, layers=(0, 1), head=3)
    loss, figures = objective.loss(batch)
    spoken, _ = SupervisedFineTuning(model).loss(batch)
    guide = (by_loops(model, batch, 0, 3) + by_loops(model, batch, 1, 3)) / 2
    assert float(figures["guide"]) == pytest.approx(guide, rel=1e-4)
    assert float(loss.detach()) == pytest.approx(float(spoken.detach()) + 0.5 * guide, rel=1e-4)
    loss.backward()
    if name == "all":
        grad = model.get_parameter("score_bias.table.weight").grad
        assert grad is not None and float(grad.abs().max()) > 0
    model.eval()
    assert float(objective.loss(batch)[0].detach()) == pytest.approx(
        float(spoken.detach()), rel=1e-5
    )


def test_following_the_gradient_draws_the_head(rows: PackedRows) -> None:
    model = reading_model("restart").train()
    batch = to_batch(rows, torch.device("cpu"))
    objective = GuidedFineTuning(model, weight=1.0, layers=(0,), head=1)
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    guides = []
    for _ in range(12):
        loss, figures = objective.loss(batch)
        guides.append(float(figures["guide"]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert guides[-1] < guides[0] - 0.4


def test_layers_and_heads_that_are_not_there() -> None:
    model = reading_model("restart")
    with pytest.raises(UserError, match="2 layers of 4 heads"):
        GuidedFineTuning(model, weight=1.0, layers=(2,), head=0)
    with pytest.raises(UserError, match="2 layers of 4 heads"):
        GuidedFineTuning(model, weight=1.0, layers=(1,), head=4)
