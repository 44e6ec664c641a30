"""Asking a model and reading what it wrote."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from glassmind.generate import Engine, SamplingParams
from glassmind.model import AttentionConfig, ModelConfig, Transformer
from glassmind.reason.chains import sample_traces
from glassmind.records import Problem
from glassmind.tokenize import CharTokenizer, Style, encode_prompt, parse_completion

TOKENIZER = CharTokenizer()
END = TOKENIZER.special["<|end|>"]
PROBLEMS = [Problem(f"p{n}", "How many?" + "?" * n, "3") for n in (0, 4, 1)]
PARAMS = SamplingParams(max_new_tokens=40, temperature=1.0, samples=5, seed=11)


@pytest.fixture(scope="module")
def engine() -> Engine:
    config = ModelConfig(
        vocab_size=TOKENIZER.vocab_size,
        max_tokens=48,
        d_model=16,
        n_layers=1,
        tie_embeddings=False,
        attention=AttentionConfig(n_heads=2),
    )
    torch.manual_seed(0)
    model = Transformer(config)
    with torch.no_grad():  # special tokens come often, so that chains have steps and ends
        model.unembed.weight.mul_(0.3)
        model.unembed.weight[: len(TOKENIZER.special)].mul_(4.0)
    return Engine(model)


@pytest.mark.parametrize("style", ["chain", "direct"])
def test_completions_are_read_as_written(engine: Engine, style: Style) -> None:
    rows = sample_traces(engine, TOKENIZER, PROBLEMS, PARAMS, style)
    assert [len(trace.completions) for trace in rows] == [5, 5, 5]
    finishes = set()
    for problem, trace in zip(PROBLEMS, rows, strict=True):
        room = 48 - len(encode_prompt(TOKENIZER, problem.question, style))
        for number, one in enumerate(trace.completions):
            assert (one.problem_id, one.sample) == (problem.id, number)
            assert len(one.token_ids) == len(one.logprobs) <= min(40, room)
            assert all(p <= 0 for p in one.logprobs)
            assert END not in one.token_ids[:-1]
            assert (one.finish == "stop") == (one.token_ids[-1] == END)
            parsed = parse_completion(TOKENIZER, one.token_ids, style)
            assert (one.steps, one.answer) == (parsed.steps, parsed.answer)
            assert one.score is None
            finishes.add(one.finish)
    assert finishes == {"stop", "length"}


def test_every_problem_has_random_numbers_of_its_own(engine: Engine) -> None:
    twins = [PROBLEMS[0], replace(PROBLEMS[0], id="twin")]
    one, two = sample_traces(engine, TOKENIZER, twins, PARAMS, "chain")
    assert [c.token_ids for c in one.completions] != [c.token_ids for c in two.completions]
    assert len({c.token_ids for c in one.completions}) > 1
    again = sample_traces(engine, TOKENIZER, twins, PARAMS, "chain")
    assert again == [one, two]
    other = sample_traces(engine, TOKENIZER, twins, replace(PARAMS, seed=12), "chain")
    assert other != [one, two]


def test_company_changes_nothing(engine: Engine) -> None:
    together = sample_traces(engine, TOKENIZER, PROBLEMS, PARAMS, "chain")
    first = sample_traces(engine, TOKENIZER, PROBLEMS[:1], PARAMS, "chain")
    assert [c.token_ids for c in first[0].completions] == [
        c.token_ids for c in together[0].completions
    ]


def test_progress_counts_chains(engine: Engine) -> None:
    calls: list[tuple[int, int]] = []
    sample_traces(
        engine,
        TOKENIZER,
        PROBLEMS,
        PARAMS,
        "chain",
        lambda done, total: calls.append((done, total)),
    )
    assert calls[-1] == (15, 15)
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)


def test_a_question_beyond_the_context_has_empty_completions(engine: Engine) -> None:
    """And does not disturb the others."""
    long = Problem("long", "Mia has " + "very " * 20 + "many pencils.", "1")
    both = sample_traces(engine, TOKENIZER, [PROBLEMS[0], long], PARAMS, "chain")
    assert both[:1] == sample_traces(engine, TOKENIZER, PROBLEMS[:1], PARAMS, "chain")
    assert len(both[1].completions) == PARAMS.samples
    assert all(c.token_ids == () and c.answer is None for c in both[1].completions)
