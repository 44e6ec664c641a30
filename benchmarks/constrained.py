"""Decoding under a constraint compared with free decoding, 32 samples at once, on SmolLM2.

    python benchmarks/constrained.py
    python benchmarks/constrained.py --passes 10

Three engines share one packed model and take turns, pass by pass: *free* decoding; with a *mask*
(a list of long texts as JSON, so that nearly every token is drawn and none is forced); and with the
long names of properties *forced*. Two figures give the cost of the mask. One is the median over the
passes of the paired difference to free decoding, in elapsed time; on a busy machine it is noise.
The other is the sum of the parts that a mask adds to a pass, each measured against its counterpart
without a mask: finding 32 masks, drawing with them, and following 32 tokens. Forced tokens are
measured as tokens per second, compared with free decoding. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import torch

from glassmind.generate import (
    Engine,
    JSONSchemaConstraint,
    Request,
    Sampler,
    SamplingParams,
    Vocabulary,
    pack_model,
)
from glassmind.generate.constraint.matcher import find_masks
from glassmind.interop.load import load_pretrained

WARM_UP = 4  # passes
BEGUN = '[ "The sea is deep and wide, and nobody has seen all of it'

TEXTS: dict[str, Any] = {
    "type": "array",
    "minItems": 1,
    "items": {"type": "string", "minLength": 200},
}
RECORD: dict[str, Any] = {
    "type": "array",
    "minItems": 50,
    "items": {
        "type": "object",
        "properties": {
            "first_name_of_the_person": {"enum": ["Ann", "Bo", "Cy"]},
            "is_allowed_to_vote": {"type": "boolean"},
            "number_of_children": {"type": "integer", "minimum": 0, "maximum": 9},
        },
        "required": ["first_name_of_the_person", "is_allowed_to_vote", "number_of_children"],
        "additionalProperties": False,
    },
}


def timed_pass(engine: Engine) -> tuple[float, int]:
    """One pass: seconds, and the tokens that it added."""
    start = time.perf_counter()
    events = engine.step()
    spent = time.perf_counter() - start
    return spent, sum(len(event.token_ids) for event in events if event.done is None)


def mask_parts(
    constraint: JSONSchemaConstraint, tokens: Sequence[int], samples: int
) -> dict[str, float]:
    """Milliseconds that a mask adds to a pass, part by part: medians over ``tokens``."""
    size = len(constraint.vocabulary)
    followers = [constraint.begin() for _ in range(samples)]
    params = SamplingParams(1, constraint=constraint)
    sampler = Sampler([params] * samples, range(samples), torch.device("cpu"))
    logits_RV = torch.randn(samples, size, generator=torch.Generator().manual_seed(0))
    spent: dict[str, list[float]] = {"find": [], "draw": [], "draw_free": [], "follow": []}
    for step, token in enumerate(tokens):
        times = [time.perf_counter()]
        find_masks(followers)
        times.append(time.perf_counter())
        allowed = {row: follower.allowed() for row, follower in enumerate(followers)}
        sampler.draw(
            logits_RV, step, allowed={row: m for row, m in allowed.items() if m is not None}
        )
        times.append(time.perf_counter())
        sampler.draw(logits_RV, step)
        times.append(time.perf_counter())
        for follower in followers:
            follower.see(token)
        times.append(time.perf_counter())
        for name, before, after in zip(spent, times[:-1], times[1:], strict=True):
            spent[name].append(1e3 * (after - before))
    return {name: statistics.median(found) for name, found in spent.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--samples", type=int, default=32)
    parser.add_argument("--passes", type=int, default=40)
    args = parser.parse_args()

    loaded = load_pretrained(args.model)
    tokenizer = loaded.tokenizer
    assert tokenizer is not None
    vocabulary = Vocabulary.of(
        tokenizer, end_ids=loaded.stop_ids, size=loaded.model.config.vocab_size
    )
    start = time.perf_counter()
    _ = vocabulary.grammar_tokenizer
    prepare = time.perf_counter() - start
    start = time.perf_counter()
    masked, forced = (JSONSchemaConstraint(schema, vocabulary) for schema in (TEXTS, RECORD))
    compile = (time.perf_counter() - start) / 2

    parts = mask_parts(masked, tokenizer.encode(BEGUN), args.samples)
    prompt = tuple(tokenizer.encode("Three facts about the sea, as a JSON list of texts:\n"))
    packed = pack_model(loaded.model.eval())
    engines: dict[str, Engine] = {}
    for name, constraint in (("free", None), ("mask", masked), ("forced", forced)):
        engine = Engine(packed, vocabulary=vocabulary, max_rows=args.samples)
        most = 20 * (args.passes + WARM_UP)  # a pass may add many tokens
        params = SamplingParams(most, samples=args.samples, seed=1, constraint=constraint)
        engine.submit(Request(prompt, params))
        engines[name] = engine
        for _ in range(WARM_UP):
            engine.step()
    passes: dict[str, list[tuple[float, int]]] = {name: [] for name in engines}
    for number in range(args.passes):
        for name in list(engines)[number % 3 :] + list(engines)[: number % 3]:
            passes[name].append(timed_pass(engines[name]))
    pairs = list(zip(passes["mask"], passes["free"], strict=True))
    cost = [100 * (m[0] / f[0] - 1) for m, f in pairs]
    free_ms = 1e3 * statistics.median(f[0] for _, f in pairs)
    added_ms = parts["find"] + parts["draw"] - parts["draw_free"] + parts["follow"]
    speed = {
        name: sum(tokens for _, tokens in found) / sum(seconds for seconds, _ in found)
        for name, found in passes.items()
    }

    facts = {
        "benchmark": "constrained",
        "model": args.model,
        "samples": args.samples,
        "passes": args.passes,
        "free_pass_ms": round(free_ms, 1),
        "mask_pass_ms": round(1e3 * statistics.median(m[0] for m, _ in pairs), 1),
        "paired_cost_percent": round(statistics.median(cost), 1),
        "paired_cost_percent_quartiles": [round(q, 1) for q in statistics.quantiles(cost)[::2]],
        "added_ms": round(added_ms, 2),
        "added_percent": round(100 * added_ms / free_ms, 2),
        "added_ms_parts": {name: round(value, 3) for name, value in parts.items()},
        "forced_times_free_tokens": round(speed["forced"] / speed["free"], 2),
        "prepare_ms": round(1e3 * prepare, 1),
        "compile_ms": round(1e3 * compile, 2),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("llguidance", "torch", "numpy")},
    }
    for key, value in facts.items():
        print(f"{key:28} {value}")
    print(json.dumps(facts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
