"""Chains of thought: ask the model, read what it wrote.

A prompt that ends in ``<|think|>`` makes the model write its steps before its answer; one that ends
in ``<|answer|>`` makes it answer at once (Wei et al. 2022, arXiv 2201.11903). Everything above this
file works on the ``Completion`` records made here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from glassmind.errors import UserError
from glassmind.generate import Engine, Request, SamplingParams, derive_seed
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

    Every problem gets a seed of its own, derived from ``params.seed`` and its place in the list.

    Raises:
        UserError: a question does not fit the model's context; the message quotes it.
    """
    end = tokenizer.special["<|end|>"]
    limit = engine.model.config.max_tokens
    requests = []
    for number, problem in enumerate(problems):
        prompt = encode_prompt(tokenizer, problem.question, style)
        if len(prompt) >= limit:
            raise UserError(
                f"the question {problem.question[:60]!r}... has {len(prompt)} tokens and the model "
                f"reads at most {limit}, its answer included: shorten it"
            )
        seed = derive_seed(params.seed, number)
        requests.append(Request(tuple(prompt), replace(params, seed=seed, stop=frozenset((end,)))))
    completions = []
    for problem, generations in zip(problems, engine.generate(requests, progress), strict=True):
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
