"""A packed model against the modules it was packed from."""

from __future__ import annotations

from itertools import chain

import pytest
import torch
from packed_cases import CONFIGS, PLAIN, in_pieces, make

from glassmind.generate import (
    KINDS,
    Engine,
    PackedModel,
    Request,
    SamplingParams,
    WeightKind,
    pack_model,
)
from glassmind.generate.packed import model as packed_model
from glassmind.generate.packed.matrix import PackedMatrix
from glassmind.generate.packed.model import head_kind
from glassmind.generate.packed.native import library

pytestmark = pytest.mark.skipif(library() is None, reason="there is no C++ compiler here")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CONFIGS)
@torch.inference_mode()
def test_packed_computes_what_its_weights_do_in_modules(name: str, kind: WeightKind) -> None:
    packed = pack_model(make(CONFIGS[name]), kind)
    assert isinstance(packed, PackedModel)
    ids_T = torch.randint(97, (90,))
    expected = packed.unpack()(ids_T[None])[0]
    # The integers' inputs have 16 bits.
    close = 1e-5 if kind in ("float32", "bfloat16") else 1e-3
    torch.testing.assert_close(
        in_pieces(packed, ids_T), expected, rtol=close, atol=close * float(expected.abs().max())
    )


@pytest.mark.parametrize("kind", KINDS)
def test_unpacked_weights_are_the_models_as_each_matrix_rounds_them(kind: WeightKind) -> None:
    model = make(CONFIGS["as GPT-2"])
    packed = pack_model(model, kind)
    assert isinstance(packed, PackedModel)
    theirs = dict(model.named_parameters())
    ours = dict(packed.unpack().named_parameters())
    assert ours.keys() == theirs.keys()
    for name, parameter in theirs.items():
        if name == "embed.weight":  # the output matrix as well
            expected = PackedMatrix(parameter, head_kind(kind)).unpack()
        elif parameter.ndim == 2 and name.startswith("blocks."):
            expected = PackedMatrix(parameter, kind).unpack()
        else:
            expected = parameter
        assert torch.equal(ours[name], expected), name


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


def test_without_a_compiler_modules_compute_with_the_packed_weights(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = make(PLAIN)
    request = [Request((1, 2, 3), SamplingParams(10, temperature=0))]
    fast = Engine(pack_model(model, "int4")).generate(request)
    monkeypatch.setattr(packed_model, "calls", lambda: None)
    assert pack_model(model) is model
    slow = pack_model(model, "int4")
    assert isinstance(slow, PackedModel)
    modules = slow.unpack()
    assert modules.unembed.weight is modules.embed.weight
    assert Engine(slow).generate(request)[0][0].token_ids == fast[0][0].token_ids
