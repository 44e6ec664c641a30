"""A draft in the engine: against a loop without cache or batch, and against exact probabilities."""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import cache

import pytest
import torch
from torch import Tensor, nn

from glassmind.errors import UserError
from glassmind.generate import Engine, RegexConstraint, Request, SamplingParams, Vocabulary
from glassmind.generate.sampling.random_numbers import JUDGING, branch, stream_keys, uniforms
from glassmind.generate.sampling.sampler import Sampler
from glassmind.model import AttentionConfig, ModelConfig, PositionConfig, Transformer

CPU = torch.device("cpu")
VOCAB = 11


def tiny(seed: int, n_layers: int, n_heads: int, vocab: int = VOCAB, max_tokens: int = 96,
         kind: str = "rope") -> Transformer:  # fmt: skip
    torch.manual_seed(seed)
    model = Transformer(
        ModelConfig(
            vocab_size=vocab,
            max_tokens=max_tokens,
            d_model=8 * n_heads,
            n_layers=n_layers,
            attention=AttentionConfig(n_heads=n_heads, n_kv_heads=n_heads // 2),
            positions=PositionConfig(kind=kind),  # type: ignore[arg-type]
        )
    )
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    return model.eval()


@cache
def pair() -> tuple[Transformer, Transformer]:
    """A model, and a draft that is like it: its first layer with a little noise. The draft's
    context is shorter, and its positions are learned in it: beyond it, it cannot read."""
    model = tiny(2, n_layers=2, n_heads=4)
    draft = tiny(2, n_layers=1, n_heads=4, max_tokens=50, kind="learned")
    shared = {n: w for n, w in model.state_dict().items() if n in draft.state_dict()}
    draft.load_state_dict(shared, strict=False)
    with torch.no_grad():
        for name, parameter in draft.named_parameters():
            scale = 0.02 if name not in shared else 1.0
            parameter.mul_(scale).add_(torch.randn_like(parameter) * 0.03)
    return model, draft


@torch.no_grad()
def plainly(
    model: Transformer, draft: Transformer, request: Request, number: int, most: int
) -> tuple[tuple[int, ...], list[float], int, int]:
    """Tokens, log-probabilities, guesses, those that stood: the rule as the papers write it."""
    params, ids, logprobs = request.params, list(request.prompt_ids), []
    n_prompt, counts = len(ids), [0, 0]
    limit = min(n_prompt + params.max_new_tokens, model.config.max_tokens)
    sampler = Sampler([params], [number], CPU)
    keys = stream_keys(torch.tensor([params.seed]), torch.tensor([number]))

    def histories(tokens: list[int]) -> list[tuple[list[int], list[int]]]:
        return [(tokens[:n_prompt], tokens[n_prompt:])] if params.penalised else []

    while True:
        step = len(ids) - n_prompt
        room = min(most, limit - len(ids) - 1, draft.config.max_tokens - len(ids) + 1)
        guessed: list[tuple[int, Tensor | None]] = []
        tokens = list(ids)
        for ahead in range(room if step else 0):
            logits = draft(torch.tensor([tokens]))[:, -1]
            guess, draft_probs = sampler.guess(
                logits, torch.tensor([step + ahead]), histories(tokens)
            )
            guessed.append((int(guess), None if draft_probs is None else draft_probs[0]))
            tokens.append(int(guess))
        counts[0] += len(guessed)
        logits_TV = model(torch.tensor([tokens]))[0, len(ids) - 1 :]
        for ahead, logits in enumerate(logits_TV):
            past = histories(ids)
            token = int(sampler.draw(logits[None], step + ahead, past).tokens_R)
            guess, draft_probs = guessed[ahead] if ahead < len(guessed) else (-1, None)
            if draft_probs is not None:
                p = sampler.distribution(logits[None], past)[0]
                chance = float(uniforms(branch(keys, JUDGING), step + ahead))
                if chance < float(p[guess] / draft_probs[guess]):
                    token = guess
                else:
                    left = (p - draft_probs).clamp(min=0).cumsum(0)
                    dart = float(uniforms(keys, step + ahead)) * float(left[-1])
                    token = int((left > dart).nonzero()[0])
            ids.append(token)
            logprobs.append(float(logits.log_softmax(0)[token]))
            counts[1] += token == guess
            if token in params.stop or len(ids) == limit:
                return tuple(ids[n_prompt:]), logprobs, counts[0], counts[1]
            if token != guess:
                break


def asked() -> list[Request]:
    """A little of everything, in prompts of 1 to 40 tokens."""
    long = tuple(i % VOCAB for i in range(37))
    settings = [
        SamplingParams(40, temperature=0.0, samples=2),
        SamplingParams(40, samples=3, seed=1),
        SamplingParams(70, temperature=0.6, top_k=4, samples=2, seed=2, stop=frozenset({3})),
        SamplingParams(30, repetition_penalty=1.2, presence_penalty=0.5, samples=2, seed=3),
        SamplingParams(25, temperature=0.0, frequency_penalty=0.3, top_logprobs=2),
        SamplingParams(60, top_p=0.8, logit_bias=((5, 1.0),), seed=4, samples=2),
        SamplingParams(3, seed=5),
        SamplingParams(1, seed=6, prompt_logprobs=True),
    ]
    prompts = [long[:n] for n in (1, 17, 4, 32, 9, 37, 2, 33)]
    return [Request(prompt, params) for prompt, params in zip(prompts, settings, strict=True)]


@cache
def expected() -> list[list[tuple[tuple[int, ...], list[float], int, int]]]:
    model, draft = pair()
    return [[plainly(model, draft, r, i, 3) for i in range(r.params.samples)] for r in asked()]


@pytest.mark.parametrize(
    ("max_rows", "n_blocks", "chunk_tokens"), [(100, 1000, 4096), (3, 8, 7), (100, 11, 20)]
)
def test_the_engine_guesses_and_judges_as_a_plain_loop_does(
    max_rows: int, n_blocks: int, chunk_tokens: int
) -> None:
    """Whoever is there, in whatever pieces, preempted or not, with shared blocks or without."""
    model, draft = pair()
    one_block = 16 * 2 * 16 * 4 * (2 + 1)  # tokens, keys and values, 2 heads of 8, bytes, layers
    engine = Engine(
        model,
        draft=draft,
        draft_tokens=3,
        max_rows=max_rows,
        max_cache_bytes=n_blocks * one_block,
        chunk_tokens=chunk_tokens,
    )
    assert engine.n_blocks == n_blocks
    for _ in range(2):  # the second time, beginnings are still in the cache
        guessed, accepted = engine.guessed, engine.accepted
        answers = engine.generate(asked())
        for generations, plain in zip(answers, expected(), strict=True):
            for generation, (tokens, logprobs, _, _) in zip(generations, plain, strict=True):
                assert generation.token_ids == tokens
                assert generation.logprobs == pytest.approx(logprobs, abs=1e-5)
        assert engine.n_free_blocks == n_blocks
        if not engine.scheduler.preempted:  # else some are guessed twice
            every = [one for plain in expected() for one in plain]
            assert engine.guessed - guessed == sum(made for _, _, made, _ in every) > 100
            assert engine.accepted - accepted == sum(stood for *_, stood in every) > 30
    assert bool(engine.scheduler.preempted) == (n_blocks < 12)


def test_greedy_tokens_are_those_without_a_draft_and_take_fewer_passes() -> None:
    model, draft = pair()
    greedy = [replace(r, params=replace(r.params, temperature=0.0)) for r in asked()]
    passes = {}
    answers = {}
    for name, how in {"none": {}, "draft": {"draft": draft}, "itself": {"draft": model}}.items():
        engine = Engine(model, **how)  # type: ignore[arg-type]
        tickets = [engine.submit(request) for request in greedy]
        passes[name], done = 0, {}
        while engine.busy:
            passes[name] += 1
            for event in engine.step():
                if event.done is not None:
                    done[tickets.index(event.ticket), event.sample] = event.done.token_ids
        answers[name] = done
    assert answers["none"] == answers["draft"] == answers["itself"]
    assert passes["itself"] * 3 < passes["none"]
    assert passes["itself"] <= passes["draft"] < passes["none"]


@pytest.mark.parametrize("params", [
    SamplingParams(4), SamplingParams(4, temperature=0.7, top_k=3)
])  # fmt: skip
def test_sampled_tokens_follow_the_models_own_distribution(params: SamplingParams) -> None:
    """Chi-square over all continuations of four tokens, and over the second, the first guessed;
    what is expected under 5 times is counted as one. The draft has nothing in common with the
    model."""
    vocab, trials, prompt = 4, 6, (1, 2)
    model, draft = tiny(5, 1, 2, vocab), tiny(6, 1, 2, vocab)
    requests = [Request(prompt, replace(params, samples=1000, seed=s)) for s in range(trials)]
    engine = Engine(model, draft=draft, draft_tokens=2)
    drawn = [g.token_ids for answer in engine.generate(requests) for g in answer]
    assert 0.2 < engine.accepted / engine.guessed < 0.9
    every = list(itertools.product(range(vocab), repeat=4))
    with torch.no_grad():
        logits = model(torch.tensor([[*prompt, *four[:3]] for four in every]))[:, 1:]
    flat = logits.reshape(-1, vocab)
    sampler = Sampler([params] * len(flat), [0] * len(flat), CPU)
    p = sampler.distribution(flat).view(len(every), 4, vocab)
    chances = p.gather(2, torch.tensor(every)[:, :, None])[:, :, 0].prod(1)
    for of in (slice(0, 4), slice(1, 2), slice(1, 3)):
        exact: dict[tuple[int, ...], float] = {}
        for four, chance in zip(every, chances.tolist(), strict=True):
            exact[four[of]] = exact.get(four[of], 0.0) + chance * len(drawn)
        counts = dict.fromkeys(exact, 0)
        for tokens in drawn:
            counts[tokens[of]] += 1
        pairs = [(counts[key], e) for key, e in exact.items() if e >= 5]
        rare = [(counts[key], e) for key, e in exact.items() if e < 5]
        if rare:
            pairs.append((sum(o for o, _ in rare), sum(e for _, e in rare)))
        chi_square = sum((o - e) ** 2 / e if e else o * 1e9 for o, e in pairs)
        freedom = len(pairs) - 1
        assert chi_square < freedom + 3.5 * (2 * freedom) ** 0.5


def test_stop_texts_end_a_sample_between_guesses() -> None:
    model, draft = pair()
    vocabulary = Vocabulary([bytes([65 + i]) for i in range(10)] + [None], [10])
    params = SamplingParams(60, samples=20, stop_texts=("AB", "CC", "D"), seed=3, temperature=0.5)
    for how in ({}, {"draft": draft}):
        engine = Engine(model, vocabulary=vocabulary, **how)  # type: ignore[arg-type]
        for generation in engine.generate([Request((1, 2, 3), params)])[0]:
            text = vocabulary_text(generation.token_ids)
            assert generation.stopped_by is None or text.endswith(generation.stopped_by)
            assert not any(stop in text[:-1] for stop in params.stop_texts)
        assert engine.accepted > 0 or not how
        assert engine.n_free_blocks == engine.n_blocks


def vocabulary_text(ids: tuple[int, ...]) -> str:
    return "".join(chr(65 + i) if i < 10 else "" for i in ids)


def test_what_a_draft_makes_no_guesses_for_is_as_without_one() -> None:
    """And its blocks still serve those it guesses for, which share their beginning."""
    model, draft = pair()
    vocabulary = Vocabulary([bytes([65 + i]) for i in range(10)] + [None], [10])
    prompt = tuple(i % VOCAB for i in range(33))
    constrained = SamplingParams(30, constraint=RegexConstraint("[A-D]*", vocabulary), seed=1)
    looked_up = SamplingParams(30, lookup=3, seed=1, temperature=0.3)
    for params in (constrained, looked_up):
        plain = Engine(model, vocabulary=vocabulary).generate([Request(prompt, params)])
        engine = Engine(model, vocabulary=vocabulary, draft=draft)
        first = engine.generate([Request(prompt, params)])
        assert first[0][0].token_ids == plain[0][0].token_ids
        assert engine.guessed == 0 or params.lookup
        ids = plain[0][0].token_ids
        then = Request((*prompt, *ids[:-1]), SamplingParams(12, seed=9, samples=2))
        after, alone = (e.generate([then])[0] for e in (engine, Engine(model, draft=draft)))
        assert [g.token_ids for g in after] == [g.token_ids for g in alone]


def test_a_cancelled_sample_leaves_the_others_their_guesses() -> None:
    model, draft = pair()
    requests = asked()
    alone = Engine(model, draft=draft).generate(requests[1:2])[0]
    engine = Engine(model, draft=draft, max_rows=6)
    tickets = [engine.submit(request) for request in requests]
    done = {}
    steps = 0
    while engine.busy:
        steps += 1
        if steps == 4:
            for ticket in tickets[:1] + tickets[2:]:
                engine.cancel(ticket)
        for event in engine.step():
            if event.done is not None and event.ticket == tickets[1]:
                done[event.sample] = event.done.token_ids
    assert [done[i] for i in range(3)] == [g.token_ids for g in alone]
    assert engine.n_free_blocks == engine.n_blocks


def test_what_cannot_be_a_draft() -> None:
    model, draft = pair()
    with pytest.raises(UserError, match="vocabulary of 12 tokens and the model one of 11"):
        Engine(model, draft=tiny(0, 1, 2, vocab=12))
    for n_tokens in (0, 33):
        with pytest.raises(UserError, match="draft_tokens must be from 1 to 32"):
            Engine(model, draft=draft, draft_tokens=n_tokens)
    damaged = tiny(0, 1, 2)
    with torch.no_grad():
        damaged.embed.weight[:, 0] = torch.nan
    with pytest.raises(UserError, match="draft model's logits are not numbers"):
        Engine(model, draft=damaged).generate([Request((1,), SamplingParams(5))])


def test_a_draft_in_training_is_left_so() -> None:
    model, draft = pair()
    draft.train()
    try:
        Engine(model, draft=draft).generate([Request((1,), SamplingParams(3))])
        assert draft.training
        assert not model.training
    finally:
        draft.eval()
