"""Chains of thought: ask the model, read what it wrote.

A prompt that ends in ``<|think|>`` makes the model write its steps before its answer; one that ends
in ``<|answer|>`` makes it answer at once (Wei et al. 2022, arXiv 2201.11903). Everything above this
file works on the traces made here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from glassmind.generate import Engine, Generation, Request, SamplingParams, derive_seed
from glassmind.records import Cost, Problem, Trace
from glassmind.tokenize import Style, Tokenizer, chain_nodes, encode_prompt


def sample_traces(
    engine: Engine,
    tokenizer: Tokenizer,
    problems: Sequence[Problem],
    params: SamplingParams,
    style: Style,
    progress: Callable[[int, int], None] | None = None,
) -> list[Trace]:
    """A trace of ``params.samples`` chains for every problem, in order.

    Every problem gets a seed of its own, derived from ``params.seed`` and its place in the list. A
    question that does not fit the model's context gets completions without a token, which count
    as wrong everywhere: one long question must not end an evaluation.

    All problems are sampled as one batch; its wall-clock time is shared over the nodes in
    proportion to the tokens written.
    """
    end = tokenizer.special["<|end|>"]
    limit = engine.model.config.max_tokens
    requests = {}
    for number, problem in enumerate(problems):
        prompt = encode_prompt(tokenizer, problem.question, style)
        if len(prompt) < limit:
            own = replace(params, seed=derive_seed(params.seed, number), stop=frozenset((end,)))
            requests[number] = Request(tuple(prompt), own)
    started = time.perf_counter()
    sampled = engine.generate(list(requests.values()), progress)
    seconds = time.perf_counter() - started
    generated = dict(zip(requests, sampled, strict=True))
    nothing = [Generation((), (), "length")] * params.samples
    traces = []
    for number, problem in enumerate(problems):
        read = len(requests[number].prompt_ids) if number in requests else 0
        chains = [
            chain_nodes(
                tokenizer,
                generation.token_ids,
                style,
                finish=generation.finish,
                logprobs=generation.logprobs,
                sampled_logprobs=generation.sampled_logprobs,
                forced=generation.forced,
            )
            for generation in generated.get(number, nothing)
        ]
        traces.append(Trace.of_chains(problem.id, chains, Cost(prompt_tokens=read)))
    return timed(traces, seconds)


def timed(traces: Sequence[Trace], seconds: float) -> list[Trace]:
    """The traces with ``seconds`` shared over their nodes in proportion to the tokens written."""
    written = sum(node.cost.completion_tokens for trace in traces for node in trace.nodes)
    each = seconds / max(1, written)
    return [
        replace(
            trace,
            nodes=tuple(
                replace(node, cost=node.cost + Cost(seconds=each * node.cost.completion_tokens))
                for node in trace.nodes
            ),
        )
        for trace in traces
    ]
