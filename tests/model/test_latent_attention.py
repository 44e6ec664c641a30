"""Latent attention: its two ways of computing, the published formula, and what it caches."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from glassmind.model import (
    PRESETS,
    AttentionConfig,
    KVCache,
    LatentConfig,
    ModelConfig,
    PositionConfig,
    RopeScaling,
    Transformer,
    causal,
    kv_bytes,
    left_padding,
    probe,
    same_document,
)
from glassmind.model.latent_attention import LatentAttention
from glassmind.model.positions import rotate, yarn_sharpness

VOCAB = 61
LATENTS = {
    "narrow values": LatentConfig(kv_rank=12, q_rank=10, content_dim=8, rope_dim=4, value_dim=6),
    "wide values": LatentConfig(kv_rank=12, q_rank=0, content_dim=6, rope_dim=2, value_dim=16),
    "values as keys": LatentConfig(kv_rank=8, q_rank=6, content_dim=8, rope_dim=4, value_dim=12),
    "no positions": LatentConfig(kv_rank=12, q_rank=10, content_dim=8, rope_dim=0, value_dim=8),
}


def tiny(latent: LatentConfig, **changes: Any) -> Transformer:
    """Every weight random: the initial zeros would hide whole branches."""
    kind: Any = "rope" if latent.rope_dim else "none"
    values: dict[str, Any] = {
        "vocab_size": VOCAB,
        "max_tokens": 64,
        "d_model": 32,
        "n_layers": 2,
        "attention": AttentionConfig(n_heads=4, qk_norm=False, latent=latent),
        "positions": PositionConfig(kind),
    }
    model = Transformer(ModelConfig(**values | changes))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3, generator=generator)
    return model.eval()


def some_ids(batch: int, tokens: int) -> Tensor:
    return torch.randint(VOCAB, (batch, tokens), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", LATENTS)
@pytest.mark.parametrize("cuts", [[8] + [1] * 12, [3, 9, 1, 7], [20]])
@torch.no_grad()
def test_packed_equals_unpacked(name: str, cuts: list[int]) -> None:
    """With a cache the keys are never unpacked; the answers are the same."""
    model, ids = tiny(LATENTS[name]), some_ids(3, 20)
    cache = KVCache(model.config, 3, 20)
    packed = torch.cat([model(piece, cache=cache) for piece in ids.split(cuts, dim=1)], dim=1)
    torch.testing.assert_close(packed, model(ids), atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_packed_equals_unpacked_with_padding() -> None:
    model, ids = tiny(LATENTS["narrow values"]), some_ids(3, 16)
    padding = torch.tensor([0, 3, 7])
    positions = (torch.arange(16) - padding[:, None]).clamp(min=0)
    expected = model(ids, positions=positions, mask=causal & left_padding(padding))
    cache = KVCache(model.config, 3, 16, padding_B=padding)
    packed = torch.cat([model(piece, cache=cache) for piece in ids.split([9] + [1] * 7, 1)], 1)
    for row, pads in enumerate(padding.tolist()):
        torch.testing.assert_close(packed[row, pads:], expected[row, pads:], atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_packed_documents_are_as_if_alone() -> None:
    model, lengths = tiny(LATENTS["narrow values"]), [5, 9, 1, 6]
    ids = some_ids(1, sum(lengths))
    documents = torch.cat([torch.full((n,), d) for d, n in enumerate(lengths)])[None]
    positions = torch.cat([torch.arange(n) for n in lengths])[None]
    together = model(ids, positions=positions, mask=causal & same_document(documents))[0]
    alone = torch.cat([model(piece)[0] for piece in ids.split(lengths, dim=1)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


def by_the_paper(layer: LatentAttention, x_TD: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """The formulas of Liu et al. 2024, appendix C, a head and a token at a time."""
    assert layer.query_down is not None and layer.query_norm is not None
    tokens, heads = len(x_TD), layer.n_heads
    content, turned, value = layer.content_dim, layer.rope_dim, layer.value_dim
    q = layer.query(layer.query_norm(layer.query_down(x_TD))).view(tokens, heads, -1)
    latent, shared_key = layer.latent_down(x_TD).split((layer.kv_rank, turned), dim=-1)
    latent = layer.latent_norm(latent)
    keys = layer.key(latent).view(tokens, heads, content)
    values = layer.value(latent).view(tokens, heads, value)
    turned_q = rotate(q[None, :, :, content:], *rotation)[0]
    turned_key = rotate(shared_key[None, :, None], *rotation)[0, :, 0]
    out = torch.zeros(tokens, heads, value)
    for t in range(tokens):
        for h in range(heads):
            score = keys[: t + 1, h] @ q[t, h, :content] + turned_key[: t + 1] @ turned_q[t, h]
            weights = (score / math.sqrt(content + turned)).softmax(-1)
            out[t, h] = weights @ values[: t + 1, h]
    mixed: Tensor = layer.output(out.flatten(1))
    return mixed


@torch.no_grad()
def test_equals_the_paper() -> None:
    model = tiny(LATENTS["narrow values"])
    layer = model.blocks[0].attention
    assert isinstance(layer, LatentAttention)
    x_TD = torch.randn(11, 32, generator=torch.Generator().manual_seed(2))
    rotation = model.rotations(torch.arange(11))["global"]
    assert rotation is not None
    found = layer(x_TD[None], rotation, None, None)[0]
    torch.testing.assert_close(found, by_the_paper(layer, x_TD, rotation), atol=1e-5, rtol=1e-4)


def test_gradients_reach_every_weight() -> None:
    model = tiny(LATENTS["narrow values"])
    model(some_ids(2, 12)).square().mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.any(), name


@torch.no_grad()
def test_the_cache_holds_one_latent_a_token() -> None:
    latent = LATENTS["narrow values"]
    model = tiny(latent)
    cache = KVCache(model.config, batch=2, max_tokens=20)
    numbers = sum(store.numel() for stores in cache.stores for store in stores)
    assert numbers == 2 * 20 * model.config.n_layers * (latent.kv_rank + latent.rope_dim)
    unpacked = 4 * (latent.content_dim + latent.rope_dim + latent.value_dim)
    assert numbers < 2 * 20 * model.config.n_layers * unpacked / 4
    assert 2 * kv_bytes(model.config, 20, bytes_per_number=4) == 4 * numbers
    with probe(model, read=["blocks.1.attention.k"]) as seen:
        model(some_ids(2, 5), cache=cache)
    (k,) = [seen[name] for name in seen]
    assert k.shape == (2, 1, 5, latent.kv_rank + latent.rope_dim)
    assert torch.equal(cache.stores[1][0][:, :, :5], k)


def test_deepseek_caches_as_little_as_published() -> None:
    """Liu et al. 2024, table 1: 9/2 · head_dim numbers a layer instead of 2 · heads · head_dim."""
    config = PRESETS["deepseek-v3"]
    assert config.cached_heads * sum(config.cached_widths) == 4.5 * 128


def test_yarn_sharpens_the_scores_instead_of_the_rotation() -> None:
    scaling = RopeScaling("yarn", 40.0, 16, sharpness=1.0, sharpness_all=1.0)
    plain = tiny(LATENTS["narrow values"])
    positions = replace(plain.config.positions, scaling=scaling)
    sharp = tiny(LATENTS["narrow values"], positions=positions)
    scales = []
    for model in (sharp, plain):
        layer = model.blocks[0].attention
        assert isinstance(layer, LatentAttention)
        scales.append(layer.scale)
    ratio = scales[0] / scales[1]
    assert ratio == pytest.approx(yarn_sharpness(40.0) ** 2)
    assert ratio == pytest.approx((0.1 * math.log(40) + 1) ** 2)
