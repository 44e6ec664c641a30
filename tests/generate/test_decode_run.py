"""Several decode steps in one call, against the engine that does one at a time."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import torch
from packed_cases import CONFIGS, PLAIN, make

from glassmind.errors import UserError
from glassmind.generate import Engine, Generation, PackedModel, Request, SamplingParams, pack_model
from glassmind.generate import engine as engine_module
from glassmind.generate.decode_run import DecodeRuns
from glassmind.generate.packed.matrix import WeightKind
from glassmind.generate.packed.native import library

pytestmark = pytest.mark.skipif(library() is None, reason="there is no C++ compiler here")


def packed(name: str = "plain", kind: WeightKind = "float32") -> PackedModel:
    model = pack_model(make(CONFIGS[name]), kind)
    assert isinstance(model, PackedModel)
    return model


@pytest.fixture(scope="module")
def model() -> PackedModel:
    return packed()


def crowd(n: int, most: int = 40) -> list[Request]:
    """Prompts with settings that all differ; every fourth has something that no run can do."""
    rng = random.Random(n)
    requests = []
    for seed in range(n):
        prompt = tuple(rng.randrange(97) for _ in range(rng.randint(1, 30)))
        params = SamplingParams(
            rng.randint(1, most),
            temperature=rng.choice((0.0, 0.5, 1.0, 1.3)),
            top_k=rng.choice((0, 0, 5)),
            top_p=rng.choice((1.0, 0.9)),
            min_p=rng.choice((0.0, 0.05)),
            samples=rng.randint(1, 3),
            stop=frozenset(rng.sample(range(97), rng.randint(0, 6))),
            seed=seed,
        )
        requests.append(Request(prompt, params))
        if seed % 4 == 3:
            special = replace(
                params,
                presence_penalty=rng.choice((0.0, 0.5)),
                top_logprobs=2,
                prompt_logprobs=True,
            )
            requests[-1] = Request(prompt, special)
    return requests


def one_by_one(engine: Engine) -> Engine:
    """The same engine without runs."""
    engine._runs = None
    return engine


def assert_equal(ours: list[list[Generation]], theirs: list[list[Generation]]) -> None:
    """To the bit."""
    for mine, other in zip(ours, theirs, strict=True):
        assert mine == other


@pytest.mark.parametrize(
    ("name", "kind", "cache"),
    [
        ("plain", "float32", torch.float32),
        ("as GPT-2", "bfloat16", torch.bfloat16),
        ("norms after, untied", "float32", torch.int8),
        ("windows", "int8", torch.float32),
        ("norms around, scaled", "float32", torch.float32),
        ("relu and alibi", "int4", torch.bfloat16),
    ],
)
def test_runs_give_what_single_steps_give(name: str, kind: WeightKind, cache: torch.dtype) -> None:
    model, requests = packed(name, kind), crowd(8)
    engine = Engine(model, cache_dtype=cache)
    plain = [request for at, request in enumerate(requests) if at % 4 < 3]
    ours = engine.generate(plain) + engine.generate(requests)
    single = one_by_one(Engine(model, cache_dtype=cache))
    assert_equal(ours, single.generate(plain) + single.generate(requests))
    assert {one.finish for row in ours for one in row} == {"stop", "length"}
    assert engine.n_free_blocks == engine.n_blocks
    assert engine._runs is not None
    looks_up = name not in ("windows", "norms around, scaled", "relu and alibi")
    assert (engine._runs.steps > 0) == looks_up
    assert (engine._runs.model_seconds > 0) == looks_up


def test_a_sample_does_not_depend_on_who_else_is_there(model: PackedModel) -> None:
    requests = crowd(12)
    together = Engine(model).generate(requests)
    for request, expected in zip(requests, together, strict=True):
        assert Engine(model).generate([request])[0] == expected


@pytest.mark.parametrize(("max_rows", "n_blocks"), [(3, 1000), (50, 9), (7, 12)])
def test_with_little_room(model: PackedModel, max_rows: int, n_blocks: int) -> None:
    requests = crowd(10)
    block = 16 * PLAIN.n_layers * 2 * 16 * 4  # tokens, layers, keys and values, width, bytes
    engine = Engine(model, max_rows=max_rows, max_cache_bytes=n_blocks * block)
    assert engine.n_blocks == n_blocks
    ours = engine.generate(requests)
    assert_equal(ours, one_by_one(Engine(model)).generate(requests))
    assert engine.n_free_blocks == n_blocks


def test_what_is_reported_step_by_step_is_the_whole(model: PackedModel) -> None:
    requests = [replace(one, params=replace(one.params, top_logprobs=0)) for one in crowd(10)]
    expected = Engine(model).generate(requests)
    engine = Engine(model)
    tickets = {engine.submit(request): at for at, request in enumerate(requests)}
    told: dict[tuple[int, int], list[int]] = {}
    scores: dict[tuple[int, int], list[float]] = {}
    most = 0
    while engine.busy:
        for event in engine.step():
            key = tickets[event.ticket], event.sample
            told.setdefault(key, []).extend(event.token_ids)
            scores.setdefault(key, []).extend(event.sampled_logprobs)
            most = max(most, len(event.token_ids))
            if event.done is not None:
                assert event.done == expected[key[0]][key[1]]
                assert tuple(told[key]) == event.done.token_ids
                assert tuple(scores[key]) == event.done.sampled_logprobs
    assert len(told) == sum(request.params.samples for request in requests)
    assert 1 < most <= engine_module.SHORT_RUN


def test_no_step_begins_when_the_time_is_over(
    model: PackedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "SECONDS", 0.0)
    requests, engine = crowd(6), Engine(model)
    seen: list[int] = []
    run = DecodeRuns.run

    def watched(runs: DecodeRuns, *arguments: object) -> int:
        seen.append(run(runs, *arguments))  # type: ignore[arg-type]
        return seen[-1]

    monkeypatch.setattr(DecodeRuns, "run", watched)
    assert_equal(engine.generate(requests), one_by_one(Engine(model)).generate(requests))
    assert set(seen) == {1}


def test_cancelled_between_two_runs(model: PackedModel) -> None:
    requests = [Request((1, 2, seed), SamplingParams(100, seed=seed)) for seed in range(3)]
    expected = Engine(model).generate(requests)
    engine = Engine(model)
    tickets = [engine.submit(request) for request in requests]
    for _ in range(3):
        engine.step()
    engine.cancel(tickets[1])
    done: dict[int, Generation] = {}
    while engine.busy:
        done |= {one.ticket: one.done for one in engine.step() if one.done is not None}
    assert done == {tickets[0]: expected[0][0], tickets[2]: expected[2][0]}
    assert engine.n_free_blocks == engine.n_blocks


def test_the_best_of_several(model: PackedModel) -> None:
    request = Request((5, 6), SamplingParams(30, samples=2, best_of=6, seed=1))
    assert Engine(model).generate([request]) == one_by_one(Engine(model)).generate([request])


def test_hooks_on_the_model_see_every_step() -> None:
    source = make(PLAIN)
    model = pack_model(source)
    engine, seen = Engine(model), []
    handle = source.blocks[0].register_forward_hook(lambda *_: seen.append(1))
    engine.generate([Request((1, 2), SamplingParams(20))])
    assert len(seen) == 20
    assert engine._runs is not None and engine._runs.steps == 0
    handle.remove()
    engine.generate([Request((1, 2), SamplingParams(20))])
    assert len(seen) == 20 and engine._runs.steps == 19


def test_logits_that_are_no_numbers_end_a_run() -> None:
    model = packed("norms after, untied")
    engine = Engine(model)
    for request in crowd(3, most=60):
        engine.submit(replace(request, params=replace(request.params, stop=frozenset())))
    engine.step()
    model._unembed.panels.view(torch.float32).fill_(float("nan"))
    with pytest.raises(UserError, match="not numbers"):
        while engine.busy:
            engine.step()
