"""The log-probability a token was drawn with, against the formula, token by token.

The formula reads the whole text anew for every token, without a cache, and does in float64 what
``SamplingParams`` says, in its order.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from glassmind.generate import (
    Engine,
    Generation,
    RegexConstraint,
    Request,
    SamplingParams,
    Vocabulary,
    pack_model,
)
from glassmind.model import AttentionConfig, ModelConfig, Transformer

END = 60
LETTERS = Vocabulary([*(bytes([48 + i]) for i in range(60)), None], [END])
"""Ids 0 to 59 are the bytes from ``0`` on, 60 is the end."""


def make(seed: int, d_model: int = 32) -> Transformer:
    torch.manual_seed(seed)
    model = Transformer(
        ModelConfig(
            vocab_size=64,
            max_tokens=96,
            d_model=d_model,
            n_layers=2,
            attention=AttentionConfig(n_heads=4, n_kv_heads=2),
        )
    )
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.35)
    return model.eval()


def modified(logits: Tensor, params: SamplingParams, prompt: list[int], new: list[int]) -> Tensor:
    """Steps 1 and 2: biases and penalties."""
    logits = logits.double().clone()
    for token, bias in params.logit_bias:
        logits[token] += bias
    for token in {*prompt, *new}:
        penalty = params.repetition_penalty
        logits[token] = logits[token] / penalty if logits[token] > 0 else logits[token] * penalty
    for token, count in Counter(new).items():
        logits[token] -= count * params.frequency_penalty + params.presence_penalty
    return logits


def log_distribution(logits: Tensor, params: SamplingParams, mask: Tensor | None) -> Tensor:
    """Steps 3 to 7: constraint, temperature, filters; what is left renormalised."""
    if mask is not None:
        logits = logits.masked_fill(~mask, -math.inf)
    scaled = logits / params.temperature
    if params.top_k:
        scaled = scaled.masked_fill(scaled < scaled.sort().values[-params.top_k], -math.inf)
    if params.top_p < 1:
        likeliest = scaled.sort(descending=True)
        reached = likeliest.values.softmax(0).cumsum(0)
        least = likeliest.values[int((reached < params.top_p).sum())]
        scaled = scaled.masked_fill(scaled < least, -math.inf)
    probabilities = scaled.softmax(0)
    kept = probabilities >= params.min_p * probabilities.max()
    return scaled.masked_fill(~kept, -math.inf).log_softmax(0)


@torch.no_grad()
def expected(model: Transformer, request: Request, generation: Generation) -> list[float]:
    """What ``sampled_logprobs`` should be."""
    params, prompt = request.params, list(request.prompt_ids)
    hook = None if params.constraint is None else params.constraint.begin()
    values = []
    for at, token in enumerate(generation.token_ids):
        new = list(generation.token_ids[:at])
        mask = None if hook is None else hook.allowed()
        if (generation.forced and generation.forced[at]) or params.temperature == 0:
            values.append(0.0)
        else:
            logits = modified(model(torch.tensor([prompt + new]))[0, -1], params, prompt, new)
            mask = None if mask is None else nn.functional.pad(mask, (0, 64 - len(mask)))
            values.append(float(log_distribution(logits, params, mask)[token]))
        if hook is not None:
            hook.see(token)
    return values


SETTINGS = {
    "plain": {},
    "temperature": {"temperature": 0.6},
    "greedy": {"temperature": 0.0},
    "top-k": {"temperature": 1.4, "top_k": 5},
    "top-p": {"top_p": 0.8},
    "min-p": {"min_p": 0.1, "temperature": 1.3},
    "every filter": {"temperature": 1.5, "top_k": 9, "top_p": 0.9, "min_p": 0.05},
    "penalties": {"repetition_penalty": 1.3, "frequency_penalty": 0.4, "presence_penalty": -0.3},
    "biases": {"logit_bias": ((3, 2.0), (9, -100.0), (11, 4.0)), "temperature": 0.8},
    "looked-up guesses": {"lookup": 5, "temperature": 0.5, "logit_bias": ((7, 4.0),)},
    "constraint": {"constraint": RegexConstraint("[0-9]{3}(AB|BA)[C-F]*", LETTERS), "top_p": 0.9},
}


def requests() -> list[Request]:
    """One of each setting, with prompts of different lengths."""
    generator = torch.Generator().manual_seed(3)
    return [
        Request(
            tuple(torch.randint(60, (2 + 4 * (n % 5),), generator=generator).tolist()),
            SamplingParams(14, samples=3, seed=n, stop=frozenset({END}), **how),  # type: ignore[arg-type]
        )
        for n, how in enumerate(SETTINGS.values())
    ]


def check(model: Transformer, asked: list[Request], answers: list[list[Generation]]) -> None:
    for request, generations in zip(asked, answers, strict=True):
        for generation in generations:
            wanted = expected(model, request, generation)
            assert len(generation.logprobs) == len(generation.sampled_logprobs) == len(wanted)
            assert generation.sampled_logprobs == pytest.approx(wanted, abs=2e-5)


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("cache", [1 << 30, 5 * 4096])
def test_every_setting_alone_and_in_a_crowd(packed: bool, cache: int) -> None:
    """The small cache makes the engine preempt samples, which then read their tokens again."""
    model, asked = make(1), requests()
    engine = Engine(
        pack_model(model) if packed else model,
        vocabulary=LETTERS,
        max_cache_bytes=cache,
        chunk_tokens=11,
    )
    answers = engine.generate(asked)
    assert bool(engine.scheduler.preempted) == (cache < 1 << 30)
    check(model, asked, answers)
    for request, generations in zip(asked, answers, strict=True):
        [alone] = engine.generate([request])
        for one, two in zip(alone, generations, strict=True):
            assert one.token_ids == two.token_ids
            assert one.sampled_logprobs == pytest.approx(two.sampled_logprobs, abs=2e-6)


def test_a_draft_model_changes_the_tokens_and_not_their_distribution() -> None:
    model, draft = make(1), make(2, d_model=16)
    asked = [r for r in requests() if not r.params.lookup and r.params.constraint is None]
    engine = Engine(model, draft=draft, draft_tokens=3)
    check(model, asked, engine.generate(asked))
    assert 0 < engine.accepted < engine.guessed


def test_forced_tokens_had_no_choice() -> None:
    """Biases make the model write sums, of which a calculator forces the results."""
    model = make(1)
    sums = "<1="
    digits = Vocabulary([bytes([i]) for i in range(64)], [0])
    favoured = tuple((ord(letter), 100.0) for letter in sorted(set(sums)))
    params = SamplingParams(
        24, temperature=15.0, samples=24, seed=4, calculator=True, logit_bias=favoured
    )
    engine = Engine(
        model, vocabulary=digits, encode=lambda text: [b for b in text.encode() if b < 64]
    )
    request = Request(tuple(b"9="), params)
    answers = engine.generate([request])
    assert sum(sum(generation.forced) for generation in answers[0]) > 5
    check(model, [request], answers)


def test_events_bring_what_the_generation_ends_with() -> None:
    engine = Engine(make(1), vocabulary=LETTERS)
    asked = requests()
    tickets = [engine.submit(replace(request)) for request in asked]
    streamed: dict[tuple[int, int], list[float]] = {}
    done: dict[tuple[int, int], Generation] = {}
    while engine.busy:
        for event in engine.step():
            place = (event.ticket, event.sample)
            assert len(event.sampled_logprobs) == len(event.token_ids) == len(event.logprobs)
            streamed.setdefault(place, []).extend(event.sampled_logprobs)
            if event.done is not None:
                done[place] = event.done
    assert len(done) == 3 * len(tickets)
    for place, generation in done.items():
        assert tuple(streamed[place]) == generation.sampled_logprobs
