"""Does a request get the same tokens whatever else the engine runs, and the trainer's scores?

    python benchmarks/generation_exactness.py smollm2          # a name, a .gguf file or a folder

Every request is answered three times: alone; together with many others, whose prompts are read in
pieces of 37 tokens; and in a cache so small that samples are preempted. Half are greedy, half drawn
at temperature 0.8. If two answers differ, the gap between the two likeliest tokens at the first
difference is recorded: a kernel whose sums depend on the batch may only cause differences where the
gap is below 1e-4.

Scores: the log-probabilities that the engine reports, against one forward pass as the trainer runs
it, in float32: of the same (rounded) weights, and of the model's own.

Prints a table, then one JSON line.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from itertools import chain

import torch
from rich.console import Console
from rich.table import Table

from glassmind.generate import KINDS, Engine, Generation, Request, SamplingParams, pack_model
from glassmind.generate.cache.layout import BLOCK
from glassmind.generate.model_runner import LanguageModel, block_bytes
from glassmind.interop.load import is_pretrained, load_pretrained
from glassmind.model import Transformer
from glassmind.runs.models import SHIPPED, load

TEXT = """The history of the city begins in the year when a bridge was built across the river. Mia
has 3 boxes of 12 pencils and gives 5 away. Water boils at 100 degrees. A train that leaves at noon
and travels at 60 miles an hour arrives before one that leaves an hour later."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="", help="default: the shipped model")
    parser.add_argument("--requests", type=int, default=24)
    parser.add_argument("--tokens", type=int, default=48)
    args = parser.parse_args()
    if is_pretrained(args.model):
        pretrained = load_pretrained(args.model)
        model, tokenizer = pretrained.model.eval(), pretrained.tokenizer
    else:
        loaded = load(args.model or SHIPPED)
        model, tokenizer = loaded.model.eval(), loaded.tokenizer
    assert tokenizer is not None
    ids = tokenizer.encode(TEXT)
    requests = [
        Request(
            tuple(ids[number : number + 5 + 3 * number % 40]),
            SamplingParams(
                args.tokens, temperature=0.8 * (number % 2), seed=number, top_logprobs=2
            ),
        )
        for number in range(args.requests)
    ]
    rows = [measure("modules", model, model, model, requests)]
    for kind in KINDS:
        packed = pack_model(model, kind)
        same_weights = packed if isinstance(packed, Transformer) else packed.unpack()
        rows.append(measure(f"packed {kind}", packed, same_weights, model, requests))
    table = Table("engine with", "tokens", "differ with others", "if preempted", "largest gap",
                  "scores off by", "against float32 by", title="Exactness")  # fmt: skip
    for row in rows:
        table.add_row(*(f"{value:.3g}" if isinstance(value, float) else str(value)
                        for value in row.values()))  # fmt: skip
    Console(width=120).print(table)
    print(json.dumps({"benchmark": "generation_exactness", "model": args.model, "rows": rows}))


def measure(
    name: str,
    side: LanguageModel,
    same_weights: Transformer,
    model: Transformer,
    requests: Sequence[Request],
) -> dict[str, str | int | float]:
    alone = [Engine(side).generate([request])[0][0] for request in requests]
    crowd = chain(*Engine(side, chunk_tokens=37).generate(requests))
    longest = max(len(r.prompt_ids) + r.params.max_new_tokens for r in requests)
    small = (longest // BLOCK + 4) * block_bytes(side)
    tight_engine = Engine(side, max_cache_bytes=small)
    tight = chain(*tight_engine.generate(requests))
    assert tight_engine.scheduler.preempted, "no sample was preempted: the cache is too large"
    parted = [[gap(a, b) for a, b in zip(alone, other, strict=True)] for other in (crowd, tight)]
    gaps = [value for values in parted for value in values if value is not None]
    return {
        "engine with": name,
        "tokens": sum(len(one.token_ids) for one in alone),
        "parted in a crowd": sum(value is not None for value in parted[0]),
        "parted when preempted": sum(value is not None for value in parted[1]),
        "largest gap": max(gaps, default=0.0),
        "scores off by": off_by(same_weights, requests, alone),
        "against float32 by": off_by(model, requests, alone),
    }


def gap(one: Generation, other: Generation) -> float | None:
    """The gap between the two likeliest tokens where two answers first differ, if they do."""
    for at, (a, b) in enumerate(zip(one.token_ids, other.token_ids, strict=False)):
        if a != b:
            (_, first), (_, second) = one.top_logprobs[at][:2]
            return first - second
    return None if len(one.token_ids) == len(other.token_ids) else float("inf")


@torch.inference_mode()
def off_by(model: Transformer, requests: Sequence[Request], answers: Sequence[Generation]) -> float:
    """The largest difference of a reported log-probability from the model's own."""
    worst = 0.0
    for request, answer in zip(requests, answers, strict=True):
        ids = torch.tensor([*request.prompt_ids, *answer.token_ids])
        logprobs = model(ids[None])[0].float().log_softmax(-1)
        start = len(request.prompt_ids)
        own = logprobs[start - 1 : -1].gather(1, ids[start:, None])[:, 0]
        worst = max(worst, float((own - torch.tensor(answer.logprobs)).abs().max()))
    return worst


if __name__ == "__main__":
    main()
