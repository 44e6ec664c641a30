"""Guesses change how fast tokens come, not which."""

from __future__ import annotations

import random

import pytest
import torch
import transformers
from torch import nn

from glassmind.errors import UserError
from glassmind.generate import Engine, RegexConstraint, Request, SamplingParams, Vocabulary
from glassmind.generate.speculative.prompt_lookup import PromptLookup
from glassmind.model import AttentionConfig, ModelConfig, Transformer

VOCAB = 11


@pytest.fixture(scope="module")
def model() -> Transformer:
    """A random model that repeats itself often enough for guesses to come true."""
    torch.manual_seed(2)
    model = Transformer(
        ModelConfig(
            vocab_size=VOCAB,
            max_tokens=96,
            d_model=32,
            n_layers=2,
            attention=AttentionConfig(n_heads=4, n_kv_heads=2),
        )
    )
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.6)
    return model


def asked(lookup: int) -> list[Request]:
    rng = random.Random(0)
    requests = []
    for number in range(14):
        params = SamplingParams(
            rng.randint(1, 70),
            temperature=rng.choice([0.0, 0.3, 1.0]),
            repetition_penalty=rng.choice([1.0, 1.0, 1.1]),
            top_k=rng.choice([0, 3]),
            stop=frozenset(rng.sample(range(VOCAB), rng.choice([0, 1]))),
            samples=rng.randint(1, 3),
            top_logprobs=rng.choice([0, 2]),
            seed=number,
            lookup=min(lookup, rng.randint(0, 6)),
        )
        prompt = tuple(rng.randrange(VOCAB) for _ in range(rng.randint(1, 20)))
        requests.append(Request(prompt, params))
    return requests


@pytest.mark.parametrize(
    ("max_rows", "n_blocks", "chunk_tokens"), [(100, 1000, 4096), (5, 6, 40), (100, 12, 9)]
)
def test_the_tokens_are_those_without_guesses(
    model: Transformer, max_rows: int, n_blocks: int, chunk_tokens: int
) -> None:
    passes = {0: 0, 6: 0}
    answers = {}
    for lookup in passes:
        engine = Engine(
            model,
            max_rows=max_rows,
            max_cache_bytes=n_blocks * 16 * 2 * 2 * 16 * 4,
            chunk_tokens=chunk_tokens,
        )
        assert engine.n_blocks == n_blocks
        for request in asked(lookup):
            engine.submit(request)
        told: dict[tuple[int, int], list[int]] = {}
        done = {}
        while engine.busy:
            passes[lookup] += 1
            for event in engine.step():
                told.setdefault((event.ticket, event.sample), []).extend(event.token_ids)
                if event.done is not None:
                    done[event.ticket, event.sample] = event.done
        assert engine.n_free_blocks == n_blocks
        assert {key: tuple(ids) for key, ids in told.items()} == {
            key: generation.token_ids for key, generation in done.items()
        }
        answers[lookup] = done
    assert passes[6] < passes[0]
    assert answers[0].keys() == answers[6].keys()
    for key, plain in answers[0].items():
        guessed = answers[6][key]
        assert guessed.token_ids == plain.token_ids
        assert guessed.finish == plain.finish
        assert guessed.logprobs == pytest.approx(plain.logprobs, abs=1e-5)
        assert [[i for i, _ in top] for top in guessed.top_logprobs] == [
            [i for i, _ in top] for top in plain.top_logprobs
        ]


def test_what_follows_one_token_at_a_time_allows_no_guesses(model: Transformer) -> None:
    vocabulary = Vocabulary([bytes([65 + i]) for i in range(10)] + [None], [10])
    engine = Engine(model, vocabulary=vocabulary, encode=lambda text: [])
    constrained = SamplingParams(5, lookup=3, constraint=RegexConstraint("[A-D]*", vocabulary))
    for params in (constrained, SamplingParams(5, lookup=3, calculator=True)):
        with pytest.raises(UserError, match="lookup together with"):
            engine.submit(Request((1,), params))
    for lookup in (-1, 33):
        with pytest.raises(UserError, match="lookup must be from 0"):
            SamplingParams(5, lookup=lookup)


def test_proposals_are_those_of_transformers() -> None:
    rng = random.Random(1)
    found = 0
    for _ in range(200):
        ids = [rng.randrange(5) for _ in range(rng.randint(1, 40))]
        ngram, most = rng.randint(1, 4), rng.randint(1, 8)
        theirs = transformers.generation.candidate_generator.PromptLookupCandidateGenerator(
            num_output_tokens=most, max_matching_ngram_size=ngram, max_length=1000
        )
        whole, _ = theirs.get_candidates(torch.tensor([ids]))
        lookup = PromptLookup(ids[:7], ngram)
        for token in ids[7:]:
            lookup.extend([token])
        assert lookup.propose(most) == whole[0, len(ids) :].tolist()
        found += bool(lookup.propose(most))
    assert found > 100
    assert PromptLookup([]).propose(3) == []
