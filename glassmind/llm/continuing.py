"""Continuing a chain of thought after one of its steps: the requests, and the nodes of the replies.

    <|question|> q <|think|> s1 <|step|>  s2 <|step|>       one more step
    |------ prompt and path ------------| |-- new ---|

The prompt and the path are the prompt of a request, which the engine's cache shares between the
samples of a path and, block by block, with every other path that begins alike. A request stops at
``<|step|>``, so that nothing is written that a search would throw away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from glassmind.generate import Generation, Request, SamplingParams
from glassmind.llm.model import OpenPath
from glassmind.records import Cost, Node
from glassmind.tokenize import chain_nodes
from glassmind.tokenize.special import STEP

if TYPE_CHECKING:
    from glassmind.llm.local import LocalLLM


def path_request(
    llm: LocalLLM, path: OpenPath, params: SamplingParams, *, to_end: bool
) -> Request | None:
    """The request that continues ``path``; ``None`` if there is no room for another token."""
    if len(path.problem.question) > llm.longest_text:
        return None
    prompt = (*llm.prompt(path.problem.question, "chain"), *path.token_ids)
    room = params.max_new_tokens - len(path.token_ids)
    room = room if path.room is None else min(room, path.room)
    if room < 1 or len(prompt) >= llm.context:
        return None
    stop = llm.stop_ids if to_end else llm.stop_ids | {llm.tokenizer.special[STEP]}
    own = replace(
        params, max_new_tokens=room, samples=path.samples, seed=path.seed, best_of=0, stop=stop
    )
    return Request(prompt, own)


def continuation_nodes(llm: LocalLLM, generation: Generation) -> list[Node]:
    """What was written after closed steps, as nodes; a closed step has no ``finish``."""
    nodes = chain_nodes(
        llm.tokenizer,
        generation.token_ids,
        "chain",
        finish=generation.finish,
        logprobs=generation.logprobs,
        sampled_logprobs=generation.sampled_logprobs,
        forced=generation.forced,
    )
    if generation.finish == "stop" and generation.token_ids[-1] not in llm.stop_ids:
        nodes[-1] = replace(nodes[-1], finish=None)  # a step, or an answer with a step's end in it
    return nodes


NO_ROOM = Generation((), (), "length")
"""The continuation of a path that has no room for another token."""


def with_seconds(
    continued: Sequence[Sequence[Sequence[Node]]], seconds: float
) -> list[list[list[Node]]]:
    """The nodes with a batch's wall-clock time, divided by the tokens written."""
    written = sum(
        node.cost.completion_tokens for samples in continued for nodes in samples for node in nodes
    )
    each = seconds / max(1, written)
    return [
        [
            [replace(n, cost=n.cost + Cost(seconds=each * n.cost.completion_tokens)) for n in nodes]
            for nodes in samples
        ]
        for samples in continued
    ]
