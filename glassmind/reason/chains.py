"""Chains of thought: ask the model, read what it wrote.

A prompt that ends in ``<|think|>`` makes the model write its steps before its answer; one that ends
in ``<|answer|>`` makes it answer at once (Wei et al. 2022, arXiv 2201.11903). Everything above this
file works on the ``Completion`` records made here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from glassmind.generate import Engine, Generation, Request, SamplingParams, derive_seed
from glassmind.records import Completion, Problem
from glassmind.tokenize import Style, Tokenizer, encode_prompt, parse_completion


def sample_completions(
    engine: Engine,
    tokenizer: Tokenizer,
    problems: Sequence[Problem],
    params: SamplingParams,
    style: Style,
    progress: Callable[[int, int], None] | None = None,
) -> list[list[Completion]]:
    """``params.samples`` completions for every problem, in order.

    Every problem gets a seed of its own, derived from ``params.seed`` and its place in the list. A
    question that does not fit the model's context gets completions without a token, which count
    as wrong everywhere: one long question must not end an evaluation.
    """
    end = tokenizer.special["<|end|>"]
    limit = engine.model.config.max_tokens
    requests = {}
    for number, problem in enumerate(problems):
        prompt = encode_prompt(tokenizer, problem.question, style)
        if len(prompt) < limit:
            own = replace(params, seed=derive_seed(params.seed, number), stop=frozenset((end,)))
            requests[number] = Request(tuple(prompt), own)
    sampled = engine.generate(list(requests.values()), progress)
    generated = dict(zip(requests, sampled, strict=True))
    nothing = [Generation((), (), "length")] * params.samples
    completions = []
    for number, problem in enumerate(problems):
        generations = generated.get(number, nothing)
        row = []
        for sample, generation in enumerate(generations):
            parsed = parse_completion(tokenizer, generation.token_ids, style)
            row.append(
                Completion(
                    problem_id=problem.id,
                    sample=sample,
                    token_ids=generation.token_ids,
                    logprobs=generation.logprobs,
                    steps=parsed.steps,
                    answer=parsed.answer,
                    finish=generation.finish,
                )
            )
        completions.append(row)
    return completions
