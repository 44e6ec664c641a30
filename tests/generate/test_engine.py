"""The engine against a loop that recomputes everything for every token of every row."""

from __future__ import annotations

import functools
import random
from dataclasses import replace

import pytest
import torch
from torch import nn

from glassmind.errors import UserError
from glassmind.generate import Engine, Generation, Request, Sampler, SamplingParams
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
        ids.append(int(sampler.draw(logits, step).tokens_R))
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
    assert_same(Engine(model).generate(requests), expected)


def test_greedy_equals_the_plain_loop() -> None:
    model = tiny_model()
    requests = make_requests(6, temperature=0.0, samples=2, max_new_tokens=40)
    expected = [[plain_loop(model, r, i) for i in range(2)] for r in requests]
    generated = Engine(model).generate(requests)
    assert_same(generated, expected)
    assert all(one.token_ids == two.token_ids for one, two in generated)


@functools.cache
def crowd() -> tuple[Transformer, list[Request], list[list[Generation]]]:
    """Requests, some with a common beginning of two blocks and more, and what they should give."""
    model = tiny_model()
    requests = make_requests(12)
    long = tuple(range(18)) * 2
    settings = SamplingParams(9, samples=3, temperature=0.8, seed=4)
    requests += [Request((*long, last), settings) for last in (1, 2, 3, 1)]
    expected = [[plain_loop(model, r, i) for i in range(r.params.samples)] for r in requests]
    assert {g.finish for gs in expected for g in gs} == {"stop", "length"}
    return model, requests, expected


BLOCK_BYTES = 16 * 3 * 2 * 32 * 4  # of the tiny model with 4 kv heads


@pytest.mark.parametrize(
    ("max_rows", "n_blocks", "chunk_tokens"),
    [(2, 1000, 4096), (7, 4, 3), (7, 9, 4096), (100, 4, 4096), (100, 9, 3), (100, 1000, 3)],
)
def test_nothing_around_a_request_changes_it(
    max_rows: int, n_blocks: int, chunk_tokens: int
) -> None:
    """Who else is there, the order of arrival, pieces of prompts, preemption, shared blocks."""
    model, requests, expected = crowd()
    shuffled = list(range(len(requests)))
    random.Random(max_rows * n_blocks).shuffle(shuffled)
    engine = Engine(
        model, max_rows=max_rows, max_cache_bytes=n_blocks * BLOCK_BYTES, chunk_tokens=chunk_tokens
    )
    assert engine.n_blocks == n_blocks
    for _ in range(2):  # the second time, beginnings are still in the cache
        generated = engine.generate([requests[i] for i in shuffled])
        assert_same(generated, [expected[i] for i in shuffled])
        assert not engine.busy
        assert engine.n_free_blocks == n_blocks
    if n_blocks == 4:
        assert engine.scheduler.preempted
    assert_same([engine.generate([request])[0] for request in requests], expected)


@functools.cache
def crowd_with_a_draft() -> tuple[Transformer, list[list[Generation]]]:
    """A draft for the crowd's model, and what each of the crowd's requests gives alone with it."""
    model, requests, _ = crowd()
    draft = tiny_model()
    with torch.no_grad():
        for parameter in draft.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.03)
    return draft, [Engine(model, draft=draft).generate([request])[0] for request in requests]


@pytest.mark.parametrize(
    ("max_rows", "n_blocks", "chunk_tokens"), [(2, 1000, 4096), (7, 4, 3), (100, 9, 4096)]
)
def test_nor_does_it_where_a_draft_guesses(max_rows: int, n_blocks: int, chunk_tokens: int) -> None:
    model, requests, expected = crowd()
    draft, guessed = crowd_with_a_draft()
    for request, plain, alone in zip(requests, expected, guessed, strict=True):
        if request.params.temperature == 0:
            assert_same([alone], [plain])
    shuffled = list(range(len(requests)))
    random.Random(max_rows * n_blocks).shuffle(shuffled)
    engine = Engine(
        model,
        draft=draft,
        max_rows=max_rows,
        max_cache_bytes=2 * n_blocks * BLOCK_BYTES,
        chunk_tokens=chunk_tokens,
    )
    assert engine.n_blocks == n_blocks
    generated = engine.generate([requests[i] for i in shuffled])
    assert_same(generated, [guessed[i] for i in shuffled])
    assert engine.n_free_blocks == n_blocks
    assert 0 < engine.accepted < engine.guessed
    assert engine.scheduler.preempted or n_blocks > 4


def test_requests_that_come_and_go_while_others_run() -> None:
    model, requests = tiny_model(), make_requests(14)
    expected = Engine(model).generate(requests)
    engine = Engine(model, max_rows=8, max_cache_bytes=12 * BLOCK_BYTES, chunk_tokens=7)
    rng = random.Random(3)
    tickets: dict[int, int] = {}
    cancelled: set[int] = set()
    told: dict[tuple[int, int], list[int]] = {}
    done: dict[tuple[int, int], Generation] = {}
    while len(tickets) < len(requests) or engine.busy:
        if len(tickets) < len(requests) and rng.random() < 0.5:
            tickets[engine.submit(requests[len(tickets)])] = len(tickets)
        if rng.random() < 0.1 and tickets:
            gone = rng.choice(list(tickets))
            if not any(key[0] == gone for key in done):
                engine.cancel(gone)
                cancelled.add(gone)
        for event in engine.step():
            assert event.ticket not in cancelled
            key = (event.ticket, event.sample)
            told.setdefault(key, []).extend(event.token_ids)
            if event.done is not None:
                done[key] = event.done
    assert cancelled
    assert engine.n_free_blocks == 12
    assert engine.n_running == engine.n_waiting == 0
    for ticket, index in tickets.items():
        if ticket not in cancelled:
            finished = [done[ticket, i] for i in range(requests[index].params.samples)]
            assert_same([finished], [expected[index]])
            assert [tuple(told[ticket, i]) for i in range(len(finished))] == [
                g.token_ids for g in finished
            ]


def test_a_prompt_is_read_once_for_all_its_samples_and_again_only_where_it_differs() -> None:
    model, read = tiny_model(), 0
    hidden = model.hidden

    def counting(ids_BT: torch.Tensor, **how: object) -> torch.Tensor:
        nonlocal read
        read += ids_BT.shape[1]
        return hidden(ids_BT, **how)  # type: ignore[arg-type]

    model.hidden = counting  # type: ignore[method-assign]
    engine = Engine(model)
    prompt = tuple(range(36))
    engine.generate([Request(prompt, SamplingParams(1, samples=8))])
    assert read == 36
    engine.generate([Request((*prompt, 7), SamplingParams(1))])
    assert read == 36 + 37 - 32  # two whole blocks are found
    engine.generate([Request((5, *prompt), SamplingParams(1))])
    assert read == 36 + 5 + 37


def test_log_probabilities_of_the_prompt_and_of_what_else_was_likely() -> None:
    model = tiny_model()
    prompt = (3, 1, 4, 1, 5, 9, 2, 6)
    params = SamplingParams(4, prompt_logprobs=True, top_logprobs=3, samples=2, seed=1)
    for chunk_tokens in (3, 100):
        first, second = Engine(model, chunk_tokens=chunk_tokens).generate(
            [Request(prompt, params)]
        )[0]
        ids = torch.tensor([[*prompt, *first.token_ids]])
        with torch.no_grad():
            logprobs_TV = model(ids)[0].log_softmax(1)
        scored = [*first.prompt_logprobs, *first.logprobs]
        assert scored == pytest.approx(
            [float(logprobs_TV[i, ids[0, i + 1]]) for i in range(ids.shape[1] - 1)], abs=1e-5
        )
        tops = [*first.prompt_top_logprobs, *first.top_logprobs]
        for place, top in enumerate(tops):
            values, indices = logprobs_TV[place].topk(3)
            assert [token for token, _ in top] == indices.tolist()
            assert [value for _, value in top] == pytest.approx(values.tolist(), abs=1e-5)
        assert len(second.top_logprobs) == 4
        assert not second.prompt_logprobs


def test_the_best_of_many_by_mean_log_probability() -> None:
    model, prompt = tiny_model(), (1, 2, 3)
    every = Engine(model).generate([Request(prompt, SamplingParams(6, samples=9, seed=2))])[0]
    by_mean = sorted(every, key=lambda g: -sum(g.logprobs) / len(g.logprobs))
    engine = Engine(model)
    engine.submit(Request(prompt, SamplingParams(6, samples=2, best_of=9, seed=2)))
    events = []
    while engine.busy:
        events += engine.step()
    assert [event.sample for event in events] == [0, 1]
    best = [event.done for event in events if event.done is not None]
    assert [g.token_ids for g in best] == [g.token_ids for g in by_mean[:2]]
    scored = SamplingParams(6, samples=2, best_of=9, seed=2, prompt_logprobs=True)
    first, second = Engine(model).generate([Request(prompt, scored)])[0]
    assert len(first.prompt_logprobs) == len(prompt) - 1 and not second.prompt_logprobs


def test_samples_of_one_request_differ_and_seeds_matter() -> None:
    engine = Engine(tiny_model())
    params = SamplingParams(12, samples=16, seed=1)
    first, again, other = (
        engine.generate([Request((1, 2), p)])[0] for p in (params, params, replace(params, seed=2))
    )
    assert first == again
    assert len({g.token_ids for g in first}) > 10
    assert not {g.token_ids for g in first} & {g.token_ids for g in other}


def test_the_context_bounds_prompt_and_generation_together() -> None:
    engine = Engine(tiny_model(max_tokens=16))
    params = SamplingParams(50)
    [[generation]] = engine.generate([Request((1,) * 10, params)])
    assert len(generation.token_ids) == 6
    assert generation.finish == "length"
    [[generation]] = engine.generate([Request((1,) * 15, params)])
    assert len(generation.token_ids) == 1


def test_progress_counts_every_sample_once() -> None:
    requests = make_requests(10)
    seen: list[tuple[int, int]] = []
    engine = Engine(tiny_model(), max_rows=5)
    engine.generate(requests, progress=lambda done, total: seen.append((done, total)))
    total = sum(request.params.samples for request in requests)
    assert seen[-1] == (total, total)
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})


def test_model_is_left_as_it_was() -> None:
    model = tiny_model().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    engine = Engine(model)
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
        Engine(tiny_model()).generate([good, bad])
    with pytest.raises(UserError, match="max_rows"):
        Engine(tiny_model(), max_rows=0)


def test_damaged_weights_are_named() -> None:
    model = tiny_model()
    with torch.no_grad():
        model.embed.weight[:, 0] = torch.nan
    with pytest.raises(UserError, match="not numbers"):
        Engine(model).generate([Request((1,), SamplingParams(3))])
