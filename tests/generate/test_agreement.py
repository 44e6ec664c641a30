"""The measured difference between engine and trainer: nothing where there is none, all there is."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from packed_cases import PLAIN, make

from glassmind.generate import Engine, Request, SamplingParams, logprob_difference, pack_model
from glassmind.records import LogprobDifference

PROMPTS = [tuple(range(1, n)) for n in (4, 30, 12)]
REQUESTS = [Request(p, SamplingParams(20, seed=n, temperature=0.8)) for n, p in enumerate(PROMPTS)]


@pytest.mark.parametrize("packed", [True, False])
def test_an_engine_of_the_same_weights_agrees(packed: bool) -> None:
    model = make(PLAIN).train()
    generations = Engine(pack_model(model) if packed else model).generate(REQUESTS)
    found = logprob_difference(model, PROMPTS, [one for [one] in generations])
    assert found.tokens == 60
    assert found.mean <= found.max < 1e-4
    assert found.ratio_min == pytest.approx(1, abs=1e-4)
    assert found.ratio_max == pytest.approx(1, abs=1e-4)
    assert model.training


def test_the_figures_are_those_of_the_differences() -> None:
    model = make(PLAIN)
    generations = [one for [one] in Engine(model).generate(REQUESTS)]
    moved = []
    for number, generation in enumerate(generations):
        shift = (0.1, -0.3, 0.0)[number]
        shifted = tuple(value + shift for value in generation.logprobs)
        moved.append(replace(generation, logprobs=shifted))
    found = logprob_difference(model, PROMPTS, moved)
    ratios = [math.exp(-0.1), math.exp(0.3), 1.0]
    expected = LogprobDifference(60, 0.4 / 3, 0.3, sum(ratios) / 3, min(ratios), max(ratios))
    for name in ("mean", "max", "ratio_mean", "ratio_min", "ratio_max"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), abs=1e-4)


def test_stale_weights_show() -> None:
    model = make(PLAIN)
    engine = Engine(pack_model(model))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.05)
    stale = [one for [one] in engine.generate(REQUESTS)]
    assert logprob_difference(model, PROMPTS, stale).max > 0.05
    engine.refresh(model)
    fresh = [one for [one] in engine.generate(REQUESTS)]
    assert logprob_difference(model, PROMPTS, fresh).max < 1e-4


def test_without_a_token_there_is_nothing_to_compare() -> None:
    with pytest.raises(ValueError, match="token"):
        logprob_difference(make(PLAIN), [], [])
