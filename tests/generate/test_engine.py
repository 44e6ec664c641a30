"""The engine against a loop that recomputes everything for every token of every row."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import torch
from torch import nn

import glassmind.generate.decode as decode
from glassmind.errors import UserError
from glassmind.generate import Engine, Generation, Request, Sampler, SamplingParams
from glassmind.generate.waves import Share, cut_into_waves
from glassmind.model import AttentionConfig, ModelConfig, PositionConfig, Transformer

VOCAB = 37


def tiny_model(n_kv_heads: int = 4, max_tokens: int = 64, kind: str = "rope") -> Transformer:
    torch.manual_seed(0)
    model = Transformer(
        ModelConfig(
            vocab_size=VOCAB,
            max_tokens=max_tokens,
            d_model=32,
            n_layers=3,
            attention=AttentionConfig(n_heads=4, n_kv_heads=n_kv_heads),
            positions=PositionConfig(kind=kind),  # type: ignore[arg-type]
        )
    )
    for parameter in model.parameters():  # the initial zeros would switch attention off
        nn.init.normal_(parameter, std=0.4)
    return model


def make_requests(n: int, **overrides: object) -> list[Request]:
    """Prompts of 1 to 20 tokens in no order, with settings that all differ."""
    rng = random.Random(1)
    requests = []
    for i in range(n):
        params = SamplingParams(
            max_new_tokens=rng.randint(1, 40),
            temperature=rng.choice([0.0, 0.7, 1.0, 1.0]),
            top_k=rng.choice([0, 0, 5]),
            top_p=rng.choice([1.0, 1.0, 0.9]),
            stop=frozenset(rng.sample(range(VOCAB), rng.choice([0, 1, 2]))),
            samples=rng.randint(1, 6),
            seed=i,
        )
        prompt = tuple(rng.randrange(VOCAB) for _ in range(rng.choice([1, 1, 3, 8, 20])))
        requests.append(Request(prompt, replace(params, **overrides)))  # type: ignore[arg-type]
    return requests


@torch.no_grad()
def plain_loop(model: Transformer, request: Request, sample: int) -> Generation:
    """One row, no cache, no batch: the whole sequence through the model for each token."""
    params, ids, logprobs = request.params, list(request.prompt_ids), []
    sampler = Sampler([params], [sample], torch.device("cpu"))
    finish = "length"
    for step in range(min(params.max_new_tokens, model.config.max_tokens - len(ids))):
        logits = model(torch.tensor([ids]))[:, -1]
        token, _ = sampler.draw(logits, step)
        ids.append(int(token))
        logprobs.append(float(logits.log_softmax(1)[0, ids[-1]]))
        if ids[-1] in params.stop:
            finish = "stop"
            break
    new = tuple(ids[len(request.prompt_ids) :])
    return Generation(new, tuple(logprobs), finish)  # type: ignore[arg-type]


def assert_same(ours: list[list[Generation]], theirs: list[list[Generation]]) -> None:
    for mine, other in zip(ours, theirs, strict=True):
        for one, two in zip(mine, other, strict=True):
            assert one.token_ids == two.token_ids
            assert one.finish == two.finish
            assert one.logprobs == pytest.approx(two.logprobs, abs=1e-5)


@pytest.mark.parametrize("n_kv_heads", [4, 2, 1])
@pytest.mark.parametrize("kind", ["rope", "learned"])
def test_engine_equals_the_plain_loop(n_kv_heads: int, kind: str) -> None:
    model = tiny_model(n_kv_heads, kind=kind)
    requests = make_requests(8)
    expected = [[plain_loop(model, r, i) for i in range(r.params.samples)] for r in requests]
    assert {g.finish for gs in expected for g in gs} == {"stop", "length"}
    assert_same(Engine(model, pad_id=0).generate(requests), expected)


def test_greedy_equals_the_plain_loop() -> None:
    model = tiny_model()
    requests = make_requests(6, temperature=0.0, samples=2, max_new_tokens=40)
    expected = [[plain_loop(model, r, i) for i in range(2)] for r in requests]
    generated = Engine(model, pad_id=0).generate(requests)
    assert_same(generated, expected)
    assert all(one.token_ids == two.token_ids for one, two in generated)


@pytest.mark.parametrize("max_rows", [2, 7])
def test_alone_in_small_waves_and_in_a_crowd_are_the_same(max_rows: int) -> None:
    model = tiny_model(2)
    requests = make_requests(20)
    crowd = Engine(model, pad_id=0).generate(requests)
    assert_same(Engine(model, pad_id=0, max_rows=max_rows).generate(requests), crowd)
    alone = Engine(model, pad_id=5)
    assert_same([alone.generate([request])[0] for request in requests[:8]], crowd[:8])


@pytest.mark.parametrize("drop_at", [0.0, 0.1, 0.5, 2.0])
def test_dropping_finished_rows_changes_nothing(drop_at: float) -> None:
    """From "after every step" to "never": 2.0 lets finished rows run on past the context."""
    model = tiny_model(2, max_tokens=40)
    requests = make_requests(20, max_new_tokens=39)
    shares = [Share(i, 0, requests[i].params.samples) for i in range(len(requests))]
    shares.sort(key=lambda share: len(requests[share.request].prompt_ids))
    with torch.inference_mode():
        got, expected = (
            decode.decode_wave(
                model, requests, shares, pad_id=0, device=torch.device("cpu"), drop_at=d
            )
            for d in (drop_at, decode.DROP_AT)
        )
    assert_same(got, expected)


def test_prompts_prefilled_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    model, requests = tiny_model(), make_requests(15)
    whole = Engine(model, pad_id=0).generate(requests)
    monkeypatch.setattr(decode, "PREFILL_TOKENS", 16)
    assert_same(Engine(model, pad_id=0).generate(requests), whole)


def test_nothing_is_read_before_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """With deterministic algorithms on, torch fills new memory with not-a-number."""
    model, requests = tiny_model(2), make_requests(15)
    expected = Engine(model, pad_id=0).generate(requests)
    monkeypatch.setattr(decode, "PREFILL_TOKENS", 16)
    torch.use_deterministic_algorithms(True)
    try:
        assert_same(Engine(model, pad_id=0).generate(requests), expected)
    finally:
        torch.use_deterministic_algorithms(False)


def test_samples_of_one_request_differ_and_seeds_matter() -> None:
    engine = Engine(tiny_model(), pad_id=0)
    params = SamplingParams(12, samples=16, seed=1)
    first, again, other = (
        engine.generate([Request((1, 2), p)])[0] for p in (params, params, replace(params, seed=2))
    )
    assert first == again
    assert len({g.token_ids for g in first}) > 10
    assert not {g.token_ids for g in first} & {g.token_ids for g in other}


def test_the_context_bounds_prompt_and_generation_together() -> None:
    engine = Engine(tiny_model(max_tokens=16), pad_id=0)
    params = SamplingParams(50)
    [[generation]] = engine.generate([Request((1,) * 10, params)])
    assert len(generation.token_ids) == 6
    assert generation.finish == "length"
    [[generation]] = engine.generate([Request((1,) * 15, params)])
    assert len(generation.token_ids) == 1


def test_progress_counts_every_sample_once() -> None:
    requests = make_requests(10)
    seen: list[tuple[int, int]] = []
    engine = Engine(tiny_model(), pad_id=0, max_rows=5)
    engine.generate(requests, progress=lambda done, total: seen.append((done, total)))
    total = sum(request.params.samples for request in requests)
    assert seen[-1] == (total, total)
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})


def test_model_is_left_as_it_was() -> None:
    model = tiny_model().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    engine = Engine(model, pad_id=0)
    with pytest.raises(KeyboardInterrupt):
        engine.generate(make_requests(3), progress=interrupt)
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    model(torch.tensor([[1, 2]])).sum().backward()
    assert engine.generate([]) == []


@pytest.mark.parametrize(
    ("prompt", "stop", "message"),
    [
        ((), (), "prompt 1 is empty"),
        ((1,) * 64, (), "prompt 1 has 64 tokens, but the model's context holds 64"),
        ((1, VOCAB), (), "prompt 1 has a token id outside"),
        ((-1,), (), "prompt 1 has a token id outside"),
        ((1,), (VOCAB,), "stop set of prompt 1 has a token id outside"),
    ],
)
def test_bad_requests_are_refused(
    prompt: tuple[int, ...], stop: tuple[int, ...], message: str
) -> None:
    good = Request((1,), SamplingParams(2))
    bad = Request(prompt, SamplingParams(2, stop=frozenset(stop)))
    with pytest.raises(UserError, match=message):
        Engine(tiny_model(), pad_id=0).generate([good, bad])
    with pytest.raises(UserError, match="max_rows"):
        Engine(tiny_model(), pad_id=0, max_rows=0)


def test_damaged_weights_are_named() -> None:
    model = tiny_model()
    with torch.no_grad():
        model.embed.weight[:, 0] = torch.nan
    with pytest.raises(UserError, match="not numbers"):
        Engine(model, pad_id=0).generate([Request((1,), SamplingParams(3))])


def test_waves_hold_every_sample_once_within_the_limits() -> None:
    requests = make_requests(60)
    requests.append(Request((1, 2, 3), SamplingParams(10, samples=100)))
    for max_rows, max_tokens in [(1, 10**9), (10, 10**9), (1000, 200), (16, 700), (1000, 1)]:
        waves = cut_into_waves(requests, max_rows, max_tokens)
        done = [(s.request, s.first + i) for wave in waves for s in wave for i in range(s.count)]
        assert len(done) == len(set(done)) == sum(r.params.samples for r in requests)
        for wave in waves:
            lengths = [len(requests[share.request].prompt_ids) for share in wave]
            rows = sum(share.count for share in wave)
            most_new = max(requests[share.request].params.max_new_tokens for share in wave)
            assert lengths == sorted(lengths)
            assert rows <= max_rows
            assert rows == 1 or len(wave) * lengths[-1] + rows * most_new <= max_tokens
