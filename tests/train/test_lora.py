"""LoRA and quantized bases: the equations, nothing changed before training, nothing lost after."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
import torch
from interrupt import Stop
from torch import Tensor, nn

from glassmind.data.batches.loader import RowLoader
from glassmind.data.batches.packing import stream
from glassmind.errors import UserError
from glassmind.model import (
    AttentionConfig,
    FeedForwardConfig,
    ModelConfig,
    TokenScorer,
    Transformer,
)
from glassmind.model.config import LatentConfig
from glassmind.model.quantized import BLOCK, NF4_LEVELS, QuantizedLinear
from glassmind.runs.recipe import LoraConfig, TrainConfig
from glassmind.runs.weights import named_weights
from glassmind.train import Pretrain, Trainer
from glassmind.train.lora import (
    LoraLinear,
    add_lora,
    factors,
    lora_layers,
    remove_lora,
)

CONFIG = ModelConfig(
    vocab_size=31,
    max_tokens=16,
    d_model=32,
    n_layers=2,
    attention=AttentionConfig(n_heads=4, n_kv_heads=2),
    feed_forward=FeedForwardConfig("swiglu"),
)
LATENT = replace(
    CONFIG,
    attention=AttentionConfig(
        n_heads=4,
        qk_norm=False,
        latent=LatentConfig(q_rank=12, kv_rank=8, rope_dim=4, content_dim=8, value_dim=8),
    ),
)
IDS = torch.arange(24).view(2, 12) % 31
TRAIN = TrainConfig(
    steps=8,
    batch_rows=4,
    row_tokens=16,
    muon_lr=0.0,
    adamw_lr=0.01,
    warmup=2,
    log_every=1,
    checkpoint_minutes=0.0,
    precision="float32",
    compile="off",
)


def make(config: ModelConfig = CONFIG) -> Transformer:
    """A model in which every weight matters."""
    torch.manual_seed(0)
    model = Transformer(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


def stirred(model: nn.Module) -> None:
    """Factors as after some training."""
    with torch.no_grad():
        for layer in lora_layers(model).values():
            layer.lora_b.normal_(std=0.1)


def logits(model: Transformer) -> Tensor:
    with torch.no_grad():
        return model(IDS)


# ------------------------------------------------------------------------------------- LoRA


@pytest.mark.parametrize("config", [CONFIG, LATENT], ids=["grouped", "latent"])
def test_a_wrapped_model_starts_as_the_original(config: ModelConfig) -> None:
    model = make(config)
    before, names = logits(model), set(named_weights(model))
    wrapped = add_lora(model, LoraConfig(rank=4))
    assert torch.equal(logits(model), before)
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trained == {f"{name}.lora_{x}" for name in wrapped for x in "ab"}
    stirred(model)
    assert not torch.equal(logits(model), before)
    remove_lora(model)
    assert set(named_weights(model)) == names


@pytest.mark.parametrize("stabilized", [False, True])
def test_the_change_is_the_papers(stabilized: bool) -> None:
    linear = nn.Linear(7, 5)
    weight = linear.weight.detach().clone()
    scale = 6 / (math.sqrt(3) if stabilized else 3)
    model = make()
    add_lora(model, LoraConfig(rank=3, alpha=6, rank_stabilized=stabilized))
    assert {layer.scale for layer in lora_layers(model).values()} == {scale}
    layer = LoraLinear(linear, 3, scale)
    with torch.no_grad():
        layer.lora_b.normal_()
    x = torch.randn(11, 7)
    expected = x @ (weight + scale * layer.lora_b @ layer.lora_a).T + linear.bias
    assert torch.allclose(layer(x), expected, atol=1e-5)
    assert torch.allclose(layer.weight, weight + scale * layer.lora_b @ layer.lora_a)


@pytest.mark.parametrize("config", [CONFIG, LATENT], ids=["grouped", "latent"])
def test_merging_keeps_the_logits(config: ModelConfig) -> None:
    model = make(config)
    add_lora(model, LoraConfig(rank=4, alpha=8))
    stirred(model)
    changed = logits(model)
    remove_lora(model)
    assert not lora_layers(model)
    assert torch.allclose(logits(model), changed, atol=1e-5)


def test_only_the_chosen_layers_are_wrapped() -> None:
    model = make()
    wrapped = add_lora(model, LoraConfig(rank=2, targets=("query", "value")))
    assert wrapped == [f"blocks.{n}.attention.{x}" for n in range(2) for x in ("query", "value")]
    assert factors(model).keys() == set(wrapped)


def test_a_head_above_the_trunk_goes_on_learning() -> None:
    scorer = TokenScorer(make(), judge_layers=1)
    wrapped = add_lora(scorer, LoraConfig(rank=2, targets=("query",)))
    assert wrapped == ["trunk.blocks.0.attention.query", "trunk.blocks.1.attention.query"]
    assert scorer.score.weight.requires_grad
    assert all(p.requires_grad for p in scorer.judge.parameters())
    assert not scorer.trunk.embed.weight.requires_grad


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (LoraConfig(rank=0), "lora.rank must be at least 1, not 0"),
        (LoraConfig(rank=17), "lora.rank 17 is more than blocks.0.attention.key has"),
        (LoraConfig(rank=2, targets=("q_proj",)), "'q_proj', and the model's blocks have no such"),
    ],
    ids=["off", "too large", "unknown"],
)
def test_what_cannot_be_wrapped_is_said(config: LoraConfig, said: str) -> None:
    model = make()
    with pytest.raises(UserError, match=said):
        add_lora(model, config)
    assert not lora_layers(model)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"rank": -1}, "rank must be at least 0"),
        ({"alpha": 0.0}, "alpha must be above 0"),
        ({"dropout": 1.0}, "dropout must lie between"),
        ({"targets": ()}, "targets must name a layer"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_impossible_values_are_refused(values: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        LoraConfig(**values)  # type: ignore[arg-type]


# ---------------------------------------------------------------------------------- training


def trainer(folder: Path | None, lora: LoraConfig, stop: int = 0) -> Trainer:
    torch.manual_seed(7)
    objective = Pretrain(make())
    add_lora(objective.module, lora)
    ids = np.random.default_rng(0).integers(0, 31, 16 * 20).astype(np.int32)
    loader = RowLoader(stream(ids, 16), TRAIN.batch_rows, seed=1)
    progress = Stop(stop) if stop else None
    return Trainer(objective, loader, TRAIN, stage="lora", folder=folder, progress=progress)


def assert_equal(one: nn.Module, two: nn.Module) -> None:
    mine, others = named_weights(one), named_weights(two)
    assert mine.keys() == others.keys()
    assert all(torch.equal(mine[name], others[name]) for name in mine)


@pytest.fixture(params=["float", "nf4"])
def lora(request: pytest.FixtureRequest) -> Iterator[LoraConfig]:
    yield LoraConfig(rank=2, base=request.param, dropout=0.1)


def test_training_moves_the_factors_and_nothing_else(lora: LoraConfig) -> None:
    work = trainer(None, lora)
    before = {name: w.clone() for name, w in named_weights(work.objective.module).items()}
    work.train()
    for name, weight in named_weights(work.objective.module).items():
        assert torch.equal(weight, before[name]) != ("lora_" in name), name


def test_resumed_training_is_the_uninterrupted_one(lora: LoraConfig, tmp_path: Path) -> None:
    straight = trainer(tmp_path / "straight", lora)
    (tmp_path / "straight").mkdir()
    straight.train()
    (tmp_path / "cut").mkdir()
    with pytest.raises(KeyboardInterrupt):
        trainer(tmp_path / "cut", lora, stop=5).train()
    resumed = trainer(tmp_path / "cut", lora)
    torch.rand(3)  # a new process has drawn other numbers
    resumed.train()
    assert_equal(resumed.objective.module, straight.objective.module)


# -------------------------------------------------------------------------------- quantized


def test_the_levels_are_quantiles_of_the_normal_distribution() -> None:
    """As the authors compute them: evenly spaced probabilities, 8 above the median and 7 below."""
    highest = 0.9677083  # (1 - 1/(2·15) + 1 - 1/(2·16)) / 2
    quantile = NormalDist().inv_cdf
    above = [quantile(p) for p in np.linspace(highest, 0.5, 9)[:-1]]
    below = [-quantile(p) for p in np.linspace(highest, 0.5, 8)[:-1]]
    levels = np.sort([*above, 0.0, *below]) / max(above)
    assert np.allclose(levels, NF4_LEVELS, atol=2e-7)


def test_nf4_is_the_plain_formula() -> None:
    torch.manual_seed(0)
    linear = nn.Linear(100, 37, bias=False)  # the last block is not full
    layer = QuantizedLinear(linear, "nf4")
    flat = linear.weight.detach().flatten().double().numpy()
    blocks = [flat[start : start + BLOCK] for start in range(0, len(flat), BLOCK)]
    largest = np.array([np.abs(block).max() for block in blocks])
    reach = np.abs(largest - largest.mean()).max()  # fewer than 256 scales: one block of them
    eight_bits = np.round((largest - largest.mean()) / reach * 127)
    scales = eight_bits / 127 * reach + largest.mean()
    levels = np.array(NF4_LEVELS)
    expected = np.concatenate(
        [
            levels[np.abs(block[:, None] / scale - levels).argmin(axis=1)] * scale
            for block, scale in zip(blocks, scales, strict=True)
        ]
    )
    found = layer.weight.flatten().double().numpy()
    assert (np.abs(found - expected) < 1e-5).mean() > 0.999  # a tie may fall either way
    assert layer.n_bytes() <= 0.5 * flat.size + 0.02 * flat.size + 64


def test_int8_is_the_plain_formula() -> None:
    torch.manual_seed(0)
    linear = nn.Linear(40, 9)
    layer = QuantizedLinear(linear, "int8")
    weight = linear.weight.detach()
    step = weight.abs().amax(dim=1, keepdim=True) / 127
    assert torch.allclose(layer.weight, (weight / step).round() * step)
    assert (layer.weight - weight).abs().max() <= step.max() / 2 + 1e-7


@pytest.mark.parametrize("kind", ["nf4", "int8"])
def test_a_quantized_layer_computes_with_its_unpacked_weights(kind: str) -> None:
    torch.manual_seed(0)
    linear = nn.Linear(96, 33)
    with torch.no_grad():
        linear.weight[:2] = 0.0  # whole blocks of nothing
    layer = QuantizedLinear(linear, kind)  # type: ignore[arg-type]
    assert not list(layer.parameters())
    assert (layer.weight[0] == 0).all()
    plain = layer.to_linear()
    x = torch.randn(5, 96, requires_grad=True)
    y = torch.randn(5, 96)
    y.copy_(x.detach())
    y.requires_grad_()
    assert torch.allclose(layer(x), plain(y), atol=1e-6)
    layer(x).square().sum().backward()
    plain(y).square().sum().backward()
    assert x.grad is not None
    assert y.grad is not None
    assert torch.allclose(x.grad, y.grad, atol=1e-4)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(x).dtype == torch.bfloat16


@pytest.mark.parametrize(("kind", "most"), [("nf4", 0.5), ("int8", 0.05)])
def test_a_quantized_model_is_close_and_comes_back_as_a_plain_one(kind: str, most: float) -> None:
    model = make()
    before, names = logits(model), set(named_weights(model))
    add_lora(model, LoraConfig(rank=2, targets=("query",), base=kind))  # type: ignore[arg-type]
    quantized = [m for m in model.modules() if isinstance(m, QuantizedLinear)]
    assert len(quantized) == 2 * 7  # those without factors as well
    error = (logits(model) - before).square().mean().sqrt() / before.std()
    assert 0 < error < most
    stirred(model)
    changed = logits(model)
    remove_lora(model)
    assert set(named_weights(model)) == names
    assert torch.allclose(logits(model), changed, atol=1e-5)
