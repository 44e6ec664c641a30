"""A packed model against the Transformer it was packed from."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain

import pytest
import torch
from torch import Tensor, nn

from glassmind.errors import UserError
from glassmind.generate import (
    KINDS,
    Engine,
    PackedModel,
    Request,
    SamplingParams,
    WeightKind,
    pack_model,
)
from glassmind.generate.cache.paged_cache import PagedCache
from glassmind.generate.packed import model as packed_model
from glassmind.generate.packed.model import rounded
from glassmind.generate.packed.native import library
from glassmind.model import AttentionConfig, ModelConfig, Transformer
from glassmind.model.config import (
    ExpertsConfig,
    FeedForwardConfig,
    LatentConfig,
    PositionConfig,
)

pytestmark = pytest.mark.skipif(library() is None, reason="there is no C++ compiler here")

PLAIN = ModelConfig(
    vocab_size=97,
    d_model=48,
    n_layers=3,
    max_tokens=128,
    attention=AttentionConfig(n_heads=6, n_kv_heads=2),
)
CONFIGS = {
    "plain": PLAIN,
    "swiglu with biases": replace(PLAIN, feed_forward=FeedForwardConfig("swiglu", 100, bias=True)),
    "geglu": replace(PLAIN, feed_forward=FeedForwardConfig("geglu")),
    "as GPT-2": replace(
        PLAIN,
        norm="layernorm",
        feed_forward=FeedForwardConfig("gelu", bias=True),
        attention=AttentionConfig(n_heads=6, bias=True, output_bias=True),
        positions=PositionConfig("learned"),
    ),
    "relu and alibi": replace(
        PLAIN, feed_forward=FeedForwardConfig("relu"), positions=PositionConfig("alibi")
    ),
    "norm of heads": replace(
        PLAIN, attention=AttentionConfig(n_heads=6, n_kv_heads=3, qk_norm=True)
    ),
    "norm of all heads": replace(
        PLAIN,
        attention=AttentionConfig(n_heads=6, n_kv_heads=3, qk_norm=True, qk_norm_over="all"),
    ),
    "windows": replace(
        PLAIN,
        attention=AttentionConfig(n_heads=6, window=9, global_every=2),
        positions=PositionConfig("rope", local_theta=100.0),
    ),
    "norms around, scaled": replace(
        PLAIN, norm_placement="around", scale_embedding=True, embedding_norm=True
    ),
    "norms after, untied": replace(
        PLAIN, norm_placement="after", tie_embeddings=False, final_norm=False
    ),
    "some without positions": replace(PLAIN, positions=PositionConfig("rope", nope_every=2)),
}


def make(config: ModelConfig) -> Transformer:
    torch.manual_seed(0)
    model = Transformer(config).eval()
    for parameter in model.parameters():
        if parameter.ndim == 1 or not parameter.any():
            nn.init.normal_(parameter, mean=float(parameter.ndim == 1), std=0.3)
    return model


def in_pieces(model: PackedModel, ids_T: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """The logits of all tokens, read piece by piece into scattered blocks."""
    cache = PagedCache(model.config, 8, 1, dtype)
    cache.tables_RW[0, :6] = torch.tensor([5, 1, 7, 2, 0, 3])
    logits: list[Tensor] = []
    for piece_T in ids_T.split([1, 40, 3, 1, 20, 25]):
        first = sum(map(len, logits))
        positions_T = torch.arange(first, first + len(piece_T))
        cache.expect(torch.zeros_like(positions_T), positions_T)
        hidden_1TD = model.hidden(piece_T[None], positions=positions_T, cache=cache)
        logits.append(model.logits(hidden_1TD[0]))
    return torch.cat(logits)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CONFIGS)
@torch.inference_mode()
def test_packed_computes_what_rounded_does(name: str, kind: WeightKind) -> None:
    model = make(CONFIGS[name])
    packed = pack_model(model, kind)
    assert isinstance(packed, PackedModel)
    ids_T = torch.randint(97, (90,))
    expected = rounded(model, kind)(ids_T[None])[0]
    # The integers' inputs have 16 bits.
    close = 1e-5 if kind in ("float32", "bfloat16") else 1e-3
    torch.testing.assert_close(
        in_pieces(packed, ids_T), expected, rtol=close, atol=close * float(expected.abs().max())
    )


@pytest.mark.parametrize(("dtype", "close"), [(torch.bfloat16, 0.02), (torch.int8, 0.02)])
@torch.inference_mode()
def test_a_small_cache_loses_little(dtype: torch.dtype, close: float) -> None:
    packed = pack_model(make(PLAIN))
    assert isinstance(packed, PackedModel)
    ids_T = torch.randint(97, (90,))
    exact = in_pieces(packed, ids_T)
    error = (in_pieces(packed, ids_T, dtype) - exact).abs().max()
    assert 0 < error < close * exact.abs().max()


@pytest.mark.parametrize("kind", KINDS)
def test_tokens_and_scores_do_not_depend_on_the_batch(kind: WeightKind) -> None:
    engine = Engine(pack_model(make(PLAIN), kind), chunk_tokens=7)
    requests = [
        Request(tuple(range(n, 2 * n)), SamplingParams(20, temperature=t, seed=n, samples=2))
        for n, t in ((3, 1.0), (40, 0.0), (17, 0.7), (9, 1.0))
    ]
    together = chain(*engine.generate(requests))
    alone = chain(*(engine.generate([request])[0] for request in requests))
    for expected, got in zip(alone, together, strict=True):
        assert got.token_ids == expected.token_ids
        # The logits are the same bits; PyTorch adds up their exponentials in groups of rows.
        assert got.logprobs == pytest.approx(expected.logprobs, abs=2e-6)


def test_float32_draws_the_transformers_tokens() -> None:
    model = make(PLAIN)
    requests = [
        Request(tuple(range(1, n)), SamplingParams(40, temperature=t, seed=n, samples=3))
        for n, t in ((5, 1.0), (30, 0.0), (17, 0.7))
    ]
    slow, fast = Engine(model).generate(requests), Engine(pack_model(model)).generate(requests)
    for expected, got in zip(chain(*slow), chain(*fast), strict=True):
        assert got.token_ids == expected.token_ids
        torch.testing.assert_close(
            torch.tensor(got.logprobs), torch.tensor(expected.logprobs), rtol=1e-5, atol=1e-5
        )


def test_a_snapshot_does_not_follow_its_model() -> None:
    model = make(PLAIN)
    packed = pack_model(model, "int8")
    request = [Request((1, 2, 3), SamplingParams(10, temperature=0))]
    before = Engine(packed).generate(request)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert Engine(packed).generate(request) == before


UNUSUAL = {
    "experts": replace(
        PLAIN,
        feed_forward=FeedForwardConfig("swiglu"),
        experts=ExpertsConfig(n_experts=4, d_hidden=32),
    ),
    "latent": replace(
        PLAIN,
        attention=AttentionConfig(
            n_heads=4,
            qk_norm=False,
            latent=LatentConfig(kv_rank=16, content_dim=8, rope_dim=8, value_dim=8),
        ),
    ),
    "normalises the residual": replace(PLAIN, norm_placement="residual", final_norm=False),
}


@pytest.mark.parametrize("what", UNUSUAL)
def test_what_cannot_be_packed_stays_or_is_refused(what: str) -> None:
    model = Transformer(UNUSUAL[what])
    assert pack_model(model) is model
    with pytest.raises(UserError, match=what.split()[0]):
        pack_model(model, "int8")


def test_without_a_compiler_a_transformer_holds_the_rounded_weights(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = make(PLAIN)
    request = [Request((1, 2, 3), SamplingParams(10, temperature=0))]
    fast = Engine(pack_model(model, "int4")).generate(request)
    monkeypatch.setattr(packed_model, "calls", lambda: None)
    assert pack_model(model) is model
    slow = pack_model(model, "int4")
    assert isinstance(slow, Transformer)
    assert slow.unembed.weight is slow.embed.weight
    assert Engine(slow).generate(request)[0][0].token_ids == fast[0][0].token_ids
