"""Taps through the engine: what is read and replaced is what really runs, packed or not."""

from __future__ import annotations

from typing import cast

import pytest
import torch
from packed_cases import PLAIN, in_pieces, make
from tiny_presets import tiny

from glassmind.generate import (
    KINDS,
    Engine,
    PackedModel,
    Request,
    SamplingParams,
    WeightKind,
    pack_model,
)
from glassmind.generate.packed.native import library
from glassmind.model import Block, KVCache, probe

needs_compiler = pytest.mark.skipif(library() is None, reason="there is no C++ compiler here")


@needs_compiler
@pytest.mark.parametrize("kind", KINDS)
@torch.inference_mode()
def test_a_watched_model_shows_what_its_packed_weights_compute(kind: WeightKind) -> None:
    model = make(PLAIN)
    packed = pack_model(model, kind)
    assert isinstance(packed, PackedModel)
    ids_T = torch.randint(97, (90,))
    unwatched = in_pieces(packed, ids_T)
    names = ["blocks.*.residual_out", "blocks.*.attention.weights", "blocks.2.attention.q"]
    with probe(model, read=names) as seen:
        watched = in_pieces(packed, ids_T)
    close = 1e-5 if kind in ("float32", "bfloat16") else 1e-3
    largest = float(watched.abs().max())
    torch.testing.assert_close(watched, unwatched, rtol=close, atol=close * largest)
    modules = packed.unpack()
    with probe(modules, read=names) as expected:
        modules(ids_T[None])
    assert len(seen) == 7
    for name, tensor in seen.items():  # the last of the pieces has 25 tokens
        theirs = expected[name][..., -25:, :]
        width = theirs.shape[-1]
        torch.testing.assert_close(tensor[..., :width], theirs, rtol=1e-4, atol=1e-4)
        assert not tensor[..., width:].any()  # the unused places of the last block
    assert torch.equal(in_pieces(packed, ids_T), unwatched)


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize(
    "tap", ["blocks.1.attention.weights", "blocks.0.feed_forward_out", "final", "embedding"]
)
def test_replacing_in_the_engine_is_replacing_without_it(tap: str, packed: bool) -> None:
    model = make(PLAIN)
    ready = pack_model(model) if packed else model
    requests = [Request(tuple(range(2, n)), SamplingParams(9, temperature=0)) for n in (9, 40)]
    plain = Engine(ready, chunk_tokens=5).generate(requests)
    with probe(model, replace={tap: lambda x: x * 0.5}):
        changed = Engine(ready, chunk_tokens=5).generate(requests)
        for request, [generation] in zip(requests, changed, strict=True):
            ids = torch.tensor([[*request.prompt_ids, *generation.token_ids]])
            with torch.no_grad():
                logprobs_TV = model(ids)[0, len(request.prompt_ids) - 1 : -1].log_softmax(1)
            assert logprobs_TV.argmax(1).tolist() == list(generation.token_ids)
            best = logprobs_TV.max(1).values.tolist()
            assert generation.logprobs == pytest.approx(best, abs=1e-4)
    assert changed != plain
    again = Engine(ready, chunk_tokens=5).generate(requests)
    assert [g.token_ids for [g] in again] == [g.token_ids for [g] in plain]


def test_attention_weights_of_one_request_while_it_decodes() -> None:
    """At every step, the weights of the new token over all before it, from the decoding pass."""
    model = make(PLAIN)
    engine = Engine(pack_model(model))
    engine.submit(Request(tuple(range(2, 9)), SamplingParams(30, temperature=0)))
    rows = []
    tokens = list(range(2, 9))
    with probe(model, read=["blocks.2.attention.weights"]) as seen:
        while engine.busy:
            events = engine.step()
            rows.append(seen["blocks.2.attention.weights"][0, :, -1].clone())
            tokens += events[0].token_ids
    with torch.no_grad(), probe(model, read=["blocks.2.attention.weights"]) as whole:
        model(torch.tensor([tokens[:-1]]))
    for step, row_HS in enumerate(rows):
        expected_HS = whole["blocks.2.attention.weights"][0, :, 6 + step, : 7 + step]
        torch.testing.assert_close(row_HS[:, : 7 + step], expected_HS, rtol=1e-4, atol=1e-5)
    assert len(rows) == 30


@pytest.mark.parametrize("name", ["gemma3", "bloom", "deepseek-v3", "llama3"])
@torch.no_grad()
def test_attention_weights_with_the_plain_cache(name: str) -> None:
    """Windows, ALiBi, latents: a pass in pieces shows the rows of the pass in one."""
    model = tiny(name)
    ids = torch.randint(60, (1, 30), generator=torch.Generator().manual_seed(0))
    tap = ["blocks.*.attention.weights"]
    with probe(model, read=tap) as whole:
        model(ids)
    cache = KVCache(model.config, 1, 30)
    model(ids[:, :20], cache=cache)
    for at in range(20, 30):
        with probe(model, read=tap) as seen:
            model(ids[:, at : at + 1], cache=cache)
        for block, weights_1HTS in seen.items():
            expected_HS = whole[block][0, :, at, : at + 1]
            width = weights_1HTS.shape[-1]  # a window's cache has dropped what it hides
            got_HS = weights_1HTS[0, :, 0]
            torch.testing.assert_close(got_HS, expected_HS[:, -width:], rtol=1e-4, atol=1e-5)


@needs_compiler
def test_any_hook_runs_not_only_those_on_taps() -> None:
    model = make(PLAIN)
    engine = Engine(pack_model(model))
    request = Request((1, 2, 3), SamplingParams(5, temperature=0))
    called: list[str] = []
    first = cast(Block, model.blocks[0])
    handles = [
        model.unembed.register_forward_hook(lambda *_: called.append("unembed")),
        first.attention.register_forward_pre_hook(lambda *_: called.append("attention")),
    ]
    engine.generate([request])
    assert set(called) == {"unembed", "attention"}
    for handle in handles:
        handle.remove()
    called.clear()
    engine.generate([request])
    assert not called
