"""Inspection: the figures are what they say, and looking changes no bit of the run."""

from __future__ import annotations

import json
import math
from functools import partial
from typing import Any

import pytest
import torch
from tiny_runs import NO_AUTOCAST, ROW, tiny_model, tiny_text
from torch import Tensor, nn

from glassmind.data.batches.loader import RowLoader
from glassmind.data.batches.packing import stream
from glassmind.evaluate.run_files import Inspection
from glassmind.model import Block, ModelConfig, Transformer, probe
from glassmind.model.config import AttentionConfig, ExpertsConfig, FeedForwardConfig
from glassmind.serialization import decode
from glassmind.train import Batch, Pretrain, to_batch
from glassmind.train.optimizers.muon import Muon
from glassmind.train.watching.inspection import SILENT, Inspector, silent_share

CPU = torch.device("cpu")


def batches(n: int) -> list[Batch]:
    loader = RowLoader(stream(tiny_text(5_000), ROW), 4, 0)
    return [to_batch(loader.next(), CPU) for _ in range(n)]


def one_step(model: Transformer, batch: Batch, lr: float = 0.01) -> tuple[dict[str, Any], Any, Any]:
    """An inspected SGD step: the figures, the gradients and the weights before it."""
    inspector = Inspector(Pretrain(model), 1, 1)
    inspector.look(lambda: inspector.objective.loss(batch), NO_AUTOCAST)
    loss, _ = inspector.objective.loss(batch)
    loss.backward()
    inspector.before_step()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    torch.optim.SGD(model.parameters(), lr=lr).step()
    return inspector.after_step(loss), gradients, before


def busy_model(**more: Any) -> Transformer:
    """A model whose zeroed matrices are no longer zero."""
    model = tiny_model(3, **more)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(torch.randn(p.shape, generator=torch.Generator().manual_seed(1)), alpha=0.05)
    return model


def test_gradients_and_updates_are_norms_of_the_real_step() -> None:
    model, (batch,) = busy_model(), batches(1)
    figures, gradients, before = one_step(model, batch, lr=0.1)
    matrices = {name for name, p in model.named_parameters() if p.dim() > 1}
    assert set(figures["gradients"]) == set(figures["updates"]) == matrices
    after = dict(model.named_parameters())
    for name in matrices:
        assert figures["gradients"][name] == pytest.approx(gradients[name].norm().item(), rel=1e-3)
        moved = (after[name] - before[name]).norm() / before[name].norm()
        assert figures["updates"][name] == pytest.approx(moved.item(), rel=1e-3)
    assert figures["loss"] == pytest.approx(Pretrain(tiny_like(before)).loss(batch)[0].item(), 1e-3)


def tiny_like(weights: dict[str, Tensor]) -> Transformer:
    model = tiny_model(3)
    model.load_state_dict(weights, strict=False)
    return model


def test_activations_are_root_mean_squares_of_the_taps() -> None:
    model, (batch,) = busy_model(), batches(1)
    with probe(model, read=["blocks.*"]) as seen, torch.no_grad():
        Pretrain(model).loss(batch)
    figures, _, _ = one_step(model, batch)

    def rms(name: str) -> float:
        return math.sqrt(seen[name].double().square().mean().item())

    def silent(name: str) -> float:
        hidden = seen[name].abs().flatten(0, 1)
        return (hidden.amax(0) <= SILENT * rms(name)).float().mean().item()

    places = ["blocks.0.residual_in", *(f"blocks.{i}.residual_out" for i in range(3))]
    assert figures["residual"] == pytest.approx([rms(p) for p in places], rel=1e-3)
    for field, tap in (("attention", "attention_out"), ("feed_forward", "feed_forward_out")):
        assert figures[field] == pytest.approx([rms(f"blocks.{i}.{tap}") for i in range(3)], 1e-3)
    assert figures["silent"] == pytest.approx(
        [silent(f"blocks.{i}.feed_forward.hidden") for i in range(3)], abs=1e-4
    )


def test_silent_units_are_counted() -> None:
    hidden = torch.rand(2, 5, 8) + 1
    assert silent_share(hidden) == 0
    hidden[..., :2] = 0
    hidden[1, 3, 1] = 1  # one token wakes it
    hidden[..., 2] = 1e-4
    assert silent_share(hidden) == 0.25
    assert silent_share(torch.zeros(2, 5, 8)) == 1


def test_a_row_is_json_and_reads_back() -> None:
    model, (batch,) = tiny_model(2), batches(1)
    figures, _, _ = one_step(model, batch)
    assert figures["updates"]["blocks.0.attention.output.weight"] is None  # it began as zero
    assert figures["updates"]["blocks.0.attention.query.weight"] == 0  # so nothing came through
    text = json.dumps(figures, allow_nan=False)
    looked = decode(Inspection, json.loads(text), "row")
    assert looked.blocks == ("blocks.0", "blocks.1")
    assert len(looked.residual) == 3


def test_frozen_parameters_and_experts_leave_gaps() -> None:
    torch.manual_seed(0)
    config = ModelConfig(
        vocab_size=24, d_model=32, n_layers=2, max_tokens=ROW,
        attention=AttentionConfig(n_heads=2), feed_forward=FeedForwardConfig(kind="swiglu"),
        experts=ExpertsConfig(n_experts=4, n_active=2, d_hidden=16),
    )  # fmt: skip
    model, (batch,) = Transformer(config), batches(1)
    model.embed.weight.requires_grad_(False)
    inspector = Inspector(Pretrain(model), 1, 1)
    inspector.look(lambda: inspector.objective.loss(batch), NO_AUTOCAST)
    loads = [m.load for m in model.modules() if hasattr(m, "load")]
    assert loads and not any(load.any() for load in loads)  # the look is not counted as training
    assert all(m.training for m in model.modules())
    loss, _ = inspector.objective.loss(batch)
    loss.backward()
    inspector.before_step()
    figures = inspector.after_step(loss)
    assert "embed.weight" not in figures["gradients"]
    assert figures["silent"] == [None, None]


def trained(every: int, *, compiled: bool, steps: int = 5) -> tuple[dict[str, Tensor], list[float]]:
    """Weights and losses of a short run, and the generator's state after it."""
    model = tiny_model(1)
    if compiled:
        for block in model.modules():
            if isinstance(block, Block):
                block.compile(dynamic=False)
    objective = Pretrain(model)
    inspector = Inspector(objective, every, steps)
    matrices = [p for name, p in model.named_parameters() if "blocks." in name and p.dim() > 1]
    optimizers = [Muon(matrices, lr=0.02), torch.optim.AdamW([model.embed.weight], lr=3e-3)]
    losses = []
    for step, batch in enumerate(batches(steps), start=1):
        watched = inspector.due(step)
        if watched:
            autocast = torch.autocast("cpu", torch.bfloat16, enabled=compiled)
            inspector.look(partial(objective.loss, batch), autocast)
        with torch.autocast("cpu", torch.bfloat16, enabled=compiled):
            loss, _ = objective.loss(batch)
        loss.backward()
        if watched:
            inspector.before_step()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        if watched:
            inspector.after_step(loss)
        losses.append(loss.item())
    return {**model.state_dict(), "random": torch.get_rng_state()}, losses


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
def test_a_watched_run_ends_with_the_same_bits(compiled: bool) -> None:
    if compiled:
        from glassmind.train.arithmetic.precision import has_compiler

        if not has_compiler():
            pytest.skip("no C++ compiler with Python's headers here")
    alone, losses = trained(0, compiled=compiled)
    watched, same = trained(2, compiled=compiled)
    assert losses == same
    assert all(torch.equal(alone[name], watched[name]) for name in alone)


def test_switched_off_it_leaves_no_hook_and_the_same_graph() -> None:
    (batch,) = batches(1)

    def graph(inspect: bool) -> list[str]:
        operations: list[str] = []

        def backend(module: torch.fx.GraphModule, inputs: list[Tensor]) -> Any:
            nodes = [n for n in module.graph.nodes if n.op not in ("placeholder", "output")]
            operations.extend(f"{n.op} {n.target}" for n in nodes)
            return module.forward

        torch._dynamo.reset()
        model = tiny_model(1)
        if inspect:
            inspector = Inspector(Pretrain(model), 0, 10)
            assert not any(inspector.due(step) for step in range(1, 11))
            objective = Pretrain(model)  # and one that did look
            Inspector(objective, 1, 10).look(lambda: objective.loss(batch), NO_AUTOCAST)
        assert not any(module._forward_hooks for module in model.modules())
        torch.compile(model, backend=backend, fullgraph=True)(batch.ids)
        return operations

    assert graph(inspect=True) == graph(inspect=False) != []


def test_which_steps_are_looked_at() -> None:
    inspector = Inspector(Pretrain(tiny_model(1)), 4, 10)
    assert [step for step in range(1, 11) if inspector.due(step)] == [1, 4, 8, 10]


def test_a_failed_look_leaves_the_model_training() -> None:
    model = tiny_model(1)
    inspector = Inspector(Pretrain(model), 1, 1)

    def fail() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        inspector.look(fail, NO_AUTOCAST)
    assert all(module.training for module in model.modules())
    assert not any(module._forward_hooks for module in model.modules())
