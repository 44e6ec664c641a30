"""Decoding under a constraint beside free decoding, 32 samples at once, on SmolLM2.

    python benchmarks/constrained.py
    python benchmarks/constrained.py --tokens 32 --repeats 3

Each repeat decodes three times, taking turns at being first: *free*; with a *mask* (a list of long
texts as JSON, so that nearly every token is drawn and none is forced); and with long names of
properties *forced*. The figure of the first two is the time of a pass with 32 samples, and the cost
of the mask the median of the paired differences; that of the third is tokens a second beside free
decoding. Then, without a model: making the constraint, a mask alone, and 32 of them side by side.
The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from importlib.metadata import version
from typing import Any

import torch

from glassmind.generate import (
    Engine,
    JSONSchemaConstraint,
    Request,
    SamplingParams,
    Vocabulary,
    pack_model,
)
from glassmind.generate.constraint.matcher import find_masks
from glassmind.interop.load import load_pretrained

TEXTS: dict[str, Any] = {"type": "array", "items": {"type": "string", "minLength": 200}}
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


def decode(engine: Engine, prompt: tuple[int, ...], params: SamplingParams) -> tuple[float, int]:
    """Seconds of decoding behind the first token of all, and the tokens written in them."""
    engine.submit(Request(prompt, params))
    engine.step()
    start, tokens = time.perf_counter(), 0
    while engine.busy:
        tokens += sum(len(event.token_ids) for event in engine.step() if event.done is None)
    return time.perf_counter() - start, tokens


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--samples", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--repeats", type=int, default=5)
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

    prompt = tuple(tokenizer.encode("Three facts about the sea, as a JSON list of texts:\n"))
    sides = {
        name: SamplingParams(args.tokens, samples=args.samples, seed=1, constraint=constraint)
        for name, constraint in (("free", None), ("mask", masked), ("forced", forced))
    }
    engine = Engine(pack_model(loaded.model.eval()), vocabulary=vocabulary, max_rows=args.samples)
    for params in sides.values():
        decode(engine, prompt, params)
    pass_ms: dict[str, list[float]] = {name: [] for name in sides}
    speed: dict[str, list[float]] = {name: [] for name in sides}
    for repeat in range(args.repeats):
        for name in list(sides)[repeat % 3 :] + list(sides)[: repeat % 3]:
            seconds, tokens = decode(engine, prompt, sides[name])
            pass_ms[name].append(1e3 * seconds * args.samples / tokens)
            speed[name].append(tokens / seconds)
    cost = [m / f - 1 for m, f in zip(pass_ms["mask"], pass_ms["free"], strict=True)]
    gain = [b / a for b, a in zip(speed["forced"], speed["free"], strict=True)]

    alone, together = [], []
    letters = tokenizer.encode('[ "The sea is deep and wide, and nobody has seen all of it"')
    followers = [masked.begin() for _ in range(args.samples)]
    for token in letters:
        start = time.perf_counter()
        find_masks(followers)
        together.append(1e3 * (time.perf_counter() - start))
        for follower in followers:
            follower.see(token)
    follower = masked.begin()
    for token in letters:
        start = time.perf_counter()
        follower.allowed()
        alone.append(1e3 * (time.perf_counter() - start))
        follower.see(token)

    facts = {
        "benchmark": "constrained",
        "model": args.model,
        "samples": args.samples,
        "tokens": args.tokens,
        "repeats": args.repeats,
        "free_pass_ms": round(statistics.median(pass_ms["free"]), 2),
        "mask_pass_ms": round(statistics.median(pass_ms["mask"]), 2),
        "mask_costs_percent": round(100 * statistics.median(cost), 1),
        "mask_costs_percent_each": [round(100 * each, 1) for each in cost],
        "forced_times_free_tokens": round(statistics.median(gain), 2),
        "prepare_ms": round(1e3 * prepare, 1),
        "compile_ms": round(1e3 * compile, 2),
        "mask_alone_ms": round(statistics.median(alone), 3),
        "masks_together_ms": round(statistics.median(together), 3),
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
