"""Formulas of cost against counting: real parameters, real caches, really executed products."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from glassmind.learn.architectures.scaled_down import scaled_down
from glassmind.model import PRESETS, KVCache, LayerPlan, ModelConfig, Transformer, probe
from glassmind.model.counting import flops_per_token, kv_bytes, parameters

VOCAB = 50


def small(name: str) -> ModelConfig:
    """The preset with a window of 8 tokens, so that a short text leaves it."""
    return replace(scaled_down(PRESETS[name], d_model=32, max_tokens=64), vocab_size=VOCAB)


def part_of(name: str) -> str:
    """Which part of ``Parameters`` a parameter of that name belongs to."""
    if name in ("embed.weight", "absolute_positions.table"):
        return "embedding"
    if name.startswith("unembed."):
        return "output"
    if ".router." in name:
        return "router"
    if ".attention." in name:
        return "attention"
    return "feed_forward" if ".feed_forward." in name else "norms"


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("size", ["small", "full"])
def test_parameters_are_those_of_the_model(name: str, size: str) -> None:
    config = small(name) if size == "small" else PRESETS[name]
    # A full model without weights: fewer layers keep this quick, more add nothing new.
    config = replace(config, vocab_size=config.vocab_size or VOCAB, n_layers=8, max_tokens=64)
    with torch.device("meta"):
        model = Transformer(config)
    counted: dict[str, int] = {}
    for parameter_name, parameter in model.named_parameters():
        part = part_of(parameter_name)
        counted[part] = counted.get(part, 0) + parameter.numel()
    formula = parameters(config)
    expected = {part: getattr(formula, part) for part in counted}
    assert counted == expected
    assert formula.total == sum(counted.values())


@pytest.mark.parametrize(
    ("name", "total", "active"),
    [
        ("gpt2", 0.124, 0.124),
        ("bloom", 0.559, 0.559),
        ("llama2", 6.74, 6.74),
        ("llama3", 8.03, 8.03),
        ("mistral", 7.24, 7.24),
        ("mixtral", 46.7, 12.9),
        ("qwen2.5", 0.49, 0.49),
        ("qwen3", 0.6, 0.6),
        ("qwen3-moe", 30.5, 3.3),
        ("gemma3", 0.27, 0.27),
        ("olmo2", 1.48, 1.48),
        ("smollm2", 0.135, 0.135),
        ("smollm3", 3.08, 3.08),
        ("deepseek-v3", 671, 37),
    ],
)
def test_parameters_are_the_published_ones(name: str, total: float, active: float) -> None:
    """In billions, as rounded by those who published them."""
    count = parameters(PRESETS[name])
    assert count.total / 1e9 == pytest.approx(total, rel=0.02)
    assert count.active / 1e9 == pytest.approx(active, rel=0.02)


@pytest.mark.parametrize("name", PRESETS)
def test_flops_are_those_of_a_pass(name: str) -> None:
    config = small(name)
    # The kernel that runs here pads values to the width of keys; with equal widths none is wasted.
    if config.attention.latent.kv_rank:
        latent = replace(config.attention.latent, value_dim=config.head_dim)
        config = replace(config, attention=replace(config.attention, latent=latent))
    tokens = 8  # none beyond a window: the formula also multiplies what a window hides
    model = Transformer(config).eval()
    formula = probe(model, read=["blocks.*.attention.weights"])  # the counter knows no fused kernel
    with torch.no_grad(), formula, FlopCounterMode(display=False) as counter:
        model(torch.zeros((1, tokens), dtype=torch.long))
    assert counter.get_total_flops() == tokens * flops_per_token(config, tokens)


@pytest.mark.parametrize("name", ["llama3", "gemma3", "olmo3", "smollm3"])
def test_flops_past_the_window_are_those_of_a_token_with_a_cache(name: str) -> None:
    config, tokens = small(name), 30
    model = Transformer(config).eval()
    cache = KVCache(config, 1, tokens)
    ids = torch.zeros((1, tokens), dtype=torch.long)
    with torch.no_grad():
        model(ids[:, :-1], cache=cache)
        # The counter knows matrix products, so the fused kernel has to be taken apart into them.
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            model(ids[:, -1:], cache=cache)
    assert counter.get_total_flops() == flops_per_token(config, tokens)


def test_six_n_is_close_for_a_short_context_and_low_for_a_long_one() -> None:
    config = PRESETS["llama3"]
    count = parameters(config)
    six_n = 6 * (count.total - count.embedding)
    assert 3 * flops_per_token(config, 512) == pytest.approx(six_n, rel=0.02)
    assert 3 * flops_per_token(config, 131_072) > 5 * six_n


@pytest.mark.parametrize("name", PRESETS)
def test_kv_bytes_are_those_of_the_cache(name: str) -> None:
    config = small(name)
    model = Transformer(config).eval()
    for tokens in (1, 7, 8, 40):
        cache = KVCache(config, 1, tokens)
        with torch.no_grad():
            model(torch.zeros((1, tokens), dtype=torch.long), cache=cache)
        held = sum(part.numel() * part.element_size() for store in cache.stores for part in store)
        assert held == kv_bytes(config, tokens, bytes_per_number=4)


@pytest.mark.parametrize("name", PRESETS)
def test_scaled_down_keeps_what_is_not_size(name: str) -> None:
    config, original = scaled_down(PRESETS[name]), PRESETS[name]
    assert config.d_model == 128
    assert config.norm_placement == original.norm_placement
    assert config.feed_forward.kind == original.feed_forward.kind
    assert config.positions.kind == original.positions.kind
    kinds = {(plan.window > 0, plan.rotary, plan.experts) for plan in layers(original)}
    assert {(plan.window > 0, plan.rotary, plan.experts) for plan in layers(config)} == kinds
    assert (config.cached_heads < config.attention.n_heads) == (
        original.cached_heads < original.attention.n_heads
    )
    assert parameters(replace(config, vocab_size=1024)).total < 8e6


def layers(config: ModelConfig) -> list[LayerPlan]:
    return [config.layer(index) for index in range(config.n_layers)]
