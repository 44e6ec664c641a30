"""The engine's cache against plain greedy decoding, for every architecture."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from glassmind.generate import Engine, Request, SamplingParams
from glassmind.model import PRESETS, Transformer
from glassmind.model.scaled_down import scaled_down

VOCAB = 61
NEW = 12


def tiny(name: str) -> Transformer:
    """The preset with a window of 8 tokens, and every weight random."""
    config = replace(scaled_down(PRESETS[name], d_model=32, max_tokens=64), vocab_size=VOCAB)
    model = Transformer(config)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3, generator=generator)
    return model.eval()


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
    generations = Engine(model, pad_id=0).generate([Request(tuple(p), params) for p in prompts])
    for prompt, samples in zip(prompts, generations, strict=True):
        expected = greedily(model, prompt)
        assert [sample.token_ids for sample in samples] == [expected, expected]
