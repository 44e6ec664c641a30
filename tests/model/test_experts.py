"""A mixture of experts against a loop over tokens, and how its routing is kept in balance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from interrupt import Stop
from torch import Tensor, nn

from glassmind.data.batches.loader import RowLoader
from glassmind.data.batches.packing import stream
from glassmind.model import (
    AttentionConfig,
    ExpertsConfig,
    FeedForwardConfig,
    ModelConfig,
    Transformer,
    probe,
    rebalance,
)
from glassmind.model.experts import BALANCE_RATE, Experts, Router
from glassmind.model.feed_forward import ACTIVATIONS
from glassmind.progress import Silent
from glassmind.runs.recipe import TrainConfig
from glassmind.train import Pretrain, Trainer

WIDTH, HIDDEN = 16, 10

KINDS: dict[str, dict[str, Any]] = {
    "mixtral": {"n_experts": 4, "n_active": 2, "balance": False},
    "one of many": {"n_experts": 6, "n_active": 1},
    "all": {"n_experts": 3, "n_active": 3},
    "not normalised": {"n_experts": 6, "n_active": 3, "normalise": False, "scale": 1.7},
    "sigmoid": {"n_experts": 6, "n_active": 2, "score": "sigmoid"},
    "shared": {"n_experts": 6, "n_active": 2, "n_shared": 2},
    "deepseek": {
        "n_experts": 12,
        "n_active": 3,
        "n_shared": 1,
        "score": "sigmoid",
        "scale": 2.5,
        "n_groups": 4,
        "n_active_groups": 2,
    },
    "groups of one": {"n_experts": 6, "n_active": 2, "n_groups": 6, "n_active_groups": 3},
}


def make(kind: str, activation: Any = "swiglu") -> Experts:
    config = ModelConfig(
        vocab_size=7,
        d_model=WIDTH,
        feed_forward=FeedForwardConfig(activation),
        experts=ExpertsConfig(d_hidden=HIDDEN, **KINDS[kind]),
    )
    layer = Experts(config)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_(std=0.4, generator=generator)
    return layer


def some_x(batch: int = 3, tokens: int = 11) -> Tensor:
    return torch.randn(batch, tokens, WIDTH, generator=torch.Generator().manual_seed(1))


def chosen(layer: Experts, scores: Tensor) -> list[int]:
    """The experts of one token, as DeepSeek-V3 (2412.19437, §2.1.2) chooses them."""
    config = layer.router.config
    wanted = scores if layer.router.balance is None else scores + layer.router.balance
    size = config.n_experts // config.n_groups
    groups = [range(g * size, (g + 1) * size) for g in range(config.n_groups)]

    def worth(group: range) -> float:
        return sum(sorted((wanted[expert].item() for expert in group), reverse=True)[:2])

    groups = sorted(groups, key=worth, reverse=True)[: config.n_active_groups]
    members = [expert for group in groups for expert in group]
    return sorted(members, key=lambda expert: -wanted[expert].item())[: config.n_active]


def loop(layer: Experts, x_BTD: Tensor) -> Tensor:
    """Every token by itself, through each of its experts."""
    config = layer.router.config
    out = torch.zeros_like(x_BTD)
    for b, t in np.ndindex(*x_BTD.shape[:2]):
        x = x_BTD[b, t]
        logits = layer.router.weight @ x
        scores = logits.softmax(0) if config.score == "softmax" else logits.sigmoid()
        numbers = chosen(layer, scores)
        total = sum(scores[n] for n in numbers) if config.normalise else 1.0
        for n in numbers:
            hidden = layer.activation(layer.gate[n] @ x) * (layer.up[n] @ x)
            out[b, t] = out[b, t] + config.scale * scores[n] / total * (layer.down[n] @ hidden)
        if layer.shared is not None:
            out[b, t] = out[b, t] + layer.shared(x)
    return out


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("activation", ["swiglu", "geglu"])
def test_equals_the_loop_over_tokens(kind: str, activation: Any) -> None:
    layer, x = make(kind, activation), some_x().requires_grad_()
    assert layer.activation is ACTIVATIONS[activation]
    found, expected = layer(x), loop(layer, x)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    weight = torch.cos(torch.arange(found.numel()).view(found.shape).float())
    inputs = [x, *(p for p in layer.parameters() if p.requires_grad)]
    mine = torch.autograd.grad((found * weight).sum(), inputs)
    others = torch.autograd.grad((expected * weight).sum(), inputs)
    for gradient, other in zip(mine, others, strict=True):
        torch.testing.assert_close(gradient, other, atol=2e-5, rtol=1e-4)


def test_the_balance_chooses_but_does_not_weigh() -> None:
    layer, x = make("sigmoid"), some_x().view(-1, WIDTH)
    assert layer.router.balance is not None
    layer.router.balance.data.zero_()
    _, before = layer.router(x)
    layer.router.balance.data[4] = 10.0
    weights, after = layer.router(x)
    assert not (before == 4).any(1).all() and (after[:, 0] == 4).all()
    scores = (x @ layer.router.weight.T).sigmoid().gather(1, after)
    torch.testing.assert_close(weights, scores / scores.sum(1, keepdim=True))


def test_no_gradient_moves_the_balance() -> None:
    layer = make("sigmoid")
    layer(some_x()).square().sum().backward()
    balance = layer.router.balance
    assert balance is not None and not balance.requires_grad and balance.grad is None
    assert layer.router.weight.grad is not None and layer.router.weight.grad.any()


def test_load_counts_while_training_only() -> None:
    layer, x = make("deepseek"), some_x()
    layer.eval()(x)
    assert not layer.router.load.any()
    layer.train()(x)
    assert layer.router.load.sum() == x.shape[0] * x.shape[1] * 3
    _, numbers = layer.eval().router(x.view(-1, WIDTH))
    expected = torch.bincount(numbers.flatten(), minlength=12).float()
    assert torch.equal(layer.router.load, expected)


def test_one_step_of_rebalancing() -> None:
    layer = make("sigmoid").train()
    assert layer.router.balance is not None
    layer.router.balance.data.zero_()
    layer.router.load.copy_(torch.tensor([6.0, 2.0, 4.0, 4.0, 0.0, 8.0]))
    rebalance(nn.Sequential(layer))
    expected = BALANCE_RATE * torch.tensor([-1.0, 1.0, 0.0, 0.0, 1.0, -1.0])
    torch.testing.assert_close(layer.router.balance.data, expected)
    assert not layer.router.load.any()
    rebalance(layer)  # nothing was counted since: nothing moves
    torch.testing.assert_close(layer.router.balance.data, expected)


@pytest.mark.parametrize("kind", ["sigmoid", "one of many", "deepseek"])
@torch.no_grad()
def test_rebalancing_evens_out_a_skewed_stream(kind: str) -> None:
    """Tokens that all look alike go to few experts, until the balance has caught up."""
    layer = make(kind).train()
    router, config = layer.router, layer.router.config
    assert router.balance is not None
    router.balance.zero_()
    generator = torch.Generator().manual_seed(2)
    common = torch.randn(WIDTH, generator=generator)

    def busiest() -> float:
        """The largest load of a batch, in equal shares."""
        router(common + torch.randn(400, WIDTH, generator=generator))
        return float(router.load.max() / router.load.mean())

    before = busiest()
    for _ in range(800):
        router.rebalance(rate=0.002)
        busiest()
    router.load.zero_()
    after = busiest()
    assert before > min(2.0, 0.9 * config.n_experts / config.n_active)
    assert after < 1.35


def test_dense_layers_come_first() -> None:
    experts = ExpertsConfig(n_experts=4, d_hidden=8, n_dense_layers=1)
    model = Transformer(
        ModelConfig(
            vocab_size=7,
            d_model=16,
            n_layers=3,
            attention=AttentionConfig(n_heads=2),
            feed_forward=FeedForwardConfig("swiglu"),
            experts=experts,
        )
    )
    kinds = [isinstance(block.feed_forward, Experts) for block in model.blocks]
    assert kinds == [False, True, True]
    with probe(model, read=["blocks.*.feed_forward.router.scores"]) as seen:
        model(torch.zeros(2, 5, dtype=torch.long))
    assert {name: tuple(scores.shape) for name, scores in seen.items()} == {
        f"blocks.{layer}.feed_forward.router.scores": (10, 4) for layer in (1, 2)
    }


# ------------------------------------------------------------------------- inside a training


CONFIG = TrainConfig(
    steps=8,
    batch_rows=4,
    row_tokens=16,
    log_every=1,
    checkpoint_minutes=0.0,  # after every step
    precision="float32",
    compile="off",
)


def make_trainer(folder: Path | None, progress: Silent | None = None) -> Trainer:
    """Everything fresh, as a new process would make it."""
    torch.manual_seed(7)
    model = Transformer(
        ModelConfig(
            vocab_size=31,
            max_tokens=16,
            d_model=16,
            n_layers=2,
            attention=AttentionConfig(n_heads=2),
            feed_forward=FeedForwardConfig("swiglu", d_hidden=24),
            experts=ExpertsConfig(n_experts=6, n_active=2, n_shared=1, d_hidden=8),
        )
    )
    ids = np.random.default_rng(0).integers(0, 31, 16 * 20).astype(np.int32)
    loader = RowLoader(stream(ids, 16), CONFIG.batch_rows, seed=1)
    return Trainer(
        Pretrain(model), loader, CONFIG, stage="pretrain", folder=folder, progress=progress
    )


def state(trainer: Trainer) -> dict[str, Tensor]:
    return {name: p.detach() for name, p in trainer.objective.module.named_parameters()}


def test_training_resumes_exactly_with_its_balance(tmp_path: Path) -> None:
    straight = make_trainer(None)
    straight.train()
    with pytest.raises(KeyboardInterrupt):
        make_trainer(tmp_path, Stop(5)).train()
    resumed = make_trainer(tmp_path)
    resumed.train()
    expected, found = state(straight), state(resumed)
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        assert torch.equal(found[name], value), name
    balances = [value for name, value in found.items() if name.endswith("router.balance")]
    assert len(balances) == 2 and all(value.any() for value in balances)
    steps = torch.stack(balances) / BALANCE_RATE
    torch.testing.assert_close(steps, steps.round(), atol=1e-3, rtol=0)
    assert steps.abs().max() <= CONFIG.steps


def test_every_expert_gets_gradients_from_a_batch() -> None:
    model = make_trainer(None).objective.module
    for module in model.modules():
        if isinstance(module, Experts):
            nn.init.normal_(module.down)  # initially zero: nothing would flow past it
    ids = torch.randint(31, (8, 16), generator=torch.Generator().manual_seed(0))
    logits: Tensor = model(ids)
    logits.square().mean().backward()
    for module in model.modules():
        if isinstance(module, Experts):
            for weight in (module.up, module.gate, module.down):
                assert weight.grad is not None and weight.grad.abs().amax((1, 2)).all()
        if isinstance(module, Router):
            assert module.weight.grad is not None and module.weight.grad.abs().amax(1).all()
