"""The engine's cache against plain greedy decoding, for every architecture."""

from __future__ import annotations

import pytest
import torch
from tiny_presets import VOCAB, tiny

from glassmind.generate import Engine, Request, SamplingParams
from glassmind.model import PRESETS, Transformer

NEW = 12


@torch.no_grad()
def greedily(model: Transformer, prompt: list[int]) -> tuple[int, ...]:
    ids = list(prompt)
    for _ in range(NEW):
        ids.append(int(model(torch.tensor([ids]))[0, -1].argmax()))
    return tuple(ids[len(prompt) :])


@pytest.mark.parametrize("name", PRESETS)
def test_engine_equals_greedy_decoding_without_a_cache(name: str) -> None:
    """Prompts shorter and longer than the window, two samples each, all in one wave."""
    model = tiny(name)
    generator = torch.Generator().manual_seed(1)
    prompts = [torch.randint(VOCAB, (n,), generator=generator).tolist() for n in (9, 2, 20)]
    params = SamplingParams(max_new_tokens=NEW, temperature=0, samples=2, stop=frozenset())
    generations = Engine(model).generate([Request(tuple(p), params) for p in prompts])
    for prompt, samples in zip(prompts, generations, strict=True):
        expected = greedily(model, prompt)
        assert [sample.token_ids for sample in samples] == [expected, expected]
