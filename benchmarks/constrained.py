"""Constrained output on a vocabulary of 50,257: making the constraint, and each token's mask.

    pip install outlines-core llguidance
    python benchmarks/constrained.py
    python benchmarks/constrained.py --repeats 1 --text-length 20

Three JSON schemas and GPT-2's vocabulary, one core. *Compile* is from the schema to the first
mask asked for (the vocabulary is prepared beforehand, once, and timed apart). Then the same
documents, as token ids, are written under each constraint: for every token its mask is made and
the token accepted. *Cold* is the first time over them, *warm* the second; the median of the
repeats counts, and of the cold tokens the slowest is given too. ``outlines-core`` works out all
masks beforehand, we one when it is first needed, ``llguidance`` anew each time. A side that is not
installed is left out, one that refuses the documents shows it. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple, Protocol

import numpy as np
import tokenizer_peers as peers
from rich.console import Console
from rich.table import Table
from tokenizers import decoders

from glassmind.generate.constraint.constraint import JSONSchemaConstraint
from glassmind.generate.constraint.vocabulary import Vocabulary
from glassmind.tokenize.composed.tokenizer import ComposedTokenizer

END = 50_256
OURS, OUTLINES, LLGUIDANCE = SIDES = ("glassmind", "outlines-core", "llguidance")


class Writer(Protocol):
    """Follows one document."""

    def mask(self) -> object: ...

    def accept(self, token_id: int) -> None: ...


# From a schema to what begins a document.
Compile = Callable[[dict[str, Any]], Callable[[], Writer]]


def ours(tokenizer: ComposedTokenizer) -> Compile:
    vocabulary = Vocabulary.of(tokenizer, end_ids=[END])
    _ = vocabulary.trie

    class Ours:
        def __init__(self, constraint: JSONSchemaConstraint) -> None:
            self.follower = constraint.begin()

        def mask(self) -> object:
            return self.follower.allowed()

        def accept(self, token_id: int) -> None:
            self.follower.see(token_id)

    def compile(schema: dict[str, Any]) -> Callable[[], Writer]:
        constraint = JSONSchemaConstraint(schema, vocabulary)
        return lambda: Ours(constraint)

    return compile


def outlines(tokenizer: ComposedTokenizer) -> Compile:
    from outlines_core import Guide, Index
    from outlines_core import Vocabulary as Theirs
    from outlines_core.json_schema import build_regex_from_schema

    ids: dict[bytes, list[int]] = {}
    for token_id in range(tokenizer.vocab_size):
        if token_id != END:
            ids.setdefault(tokenizer.token_bytes(token_id), []).append(token_id)
    vocabulary = Theirs(END, ids)
    bits = np.zeros((tokenizer.vocab_size + 31) // 32, np.int32)

    class Outlines:
        def __init__(self, index: Any) -> None:
            self.guide = Guide(index)

        def mask(self) -> object:
            return self.guide.write_mask_into(bits.ctypes.data, bits.size, 4)

        def accept(self, token_id: int) -> None:
            self.guide.advance(token_id, return_tokens=False)

    def compile(schema: dict[str, Any]) -> Callable[[], Writer]:
        index = Index(build_regex_from_schema(json.dumps(schema)), vocabulary)
        return lambda: Outlines(index)

    return compile


def guidance(tokenizer: ComposedTokenizer) -> Compile:
    from llguidance import LLMatcher, LLTokenizer
    from llguidance.numpy import allocate_token_bitmask, fill_next_token_bitmask

    theirs = peers.vocabulary("gpt2").theirs()
    theirs.decoder = decoders.ByteLevel()
    vocabulary = LLTokenizer(theirs.to_str(), n_vocab=tokenizer.vocab_size, eos_token=END)
    bits = allocate_token_bitmask(1, tokenizer.vocab_size)

    class Guidance:
        def __init__(self, matcher: Any) -> None:
            self.matcher = matcher

        def mask(self) -> object:
            return fill_next_token_bitmask(self.matcher, bits)

        def accept(self, token_id: int) -> None:
            if not self.matcher.consume_token(token_id):
                raise ValueError(self.matcher.get_error())

    def compile(schema: dict[str, Any]) -> Callable[[], Writer]:
        grammar = LLMatcher.grammar_from_json_schema(json.dumps(schema))
        matcher = LLMatcher(vocabulary, grammar)
        if matcher.is_error():
            raise ValueError(matcher.get_error())
        return lambda: Guidance(matcher.deep_copy())

    return compile


PREPARE = {OURS: ours, OUTLINES: outlines, LLGUIDANCE: guidance}


def jobs(text_length: int) -> dict[str, tuple[dict[str, Any], list[object]]]:
    """Schemas, and documents that keep to them."""
    words = "The trains leave at noon and at dusk; neither waits. " * 100
    text = {"type": "string", "maxLength": text_length}
    line = {
        "type": "object",
        "properties": {
            "item": {"enum": ["apple", "pear", "bread", "milk"]},
            "count": {"type": "integer"},
            "price": {"type": "number"},
        },
        "required": ["item", "count", "price"],
        "additionalProperties": False,
    }

    def closed(properties: dict[str, Any]) -> dict[str, Any]:
        return {
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        }

    return {
        "flat": (
            closed({"name": {"type": "string"}, "age": {"type": "integer"}, "ok": {"const": True}}),
            [{"name": "Ann Lee", "age": 41, "ok": True}, {"name": "Bo", "age": 7, "ok": True}],
        ),
        "nested": (
            closed({"id": {"type": "string"}, "lines": {"type": "array", "items": line}}),
            [
                {
                    "id": f"order {n}",
                    "lines": [{"item": "pear", "count": n + i, "price": 2.5} for i in range(n)],
                }
                for n in (1, 4)
            ],
        ),
        f"text of {text_length}": (
            closed({"thought": text, "answer": {"type": "integer"}}),
            [{"thought": words[: text_length - n], "answer": n} for n in (0, 9)],
        ),
    }


class Times(NamedTuple):
    """In milliseconds."""

    compile: float
    cold: list[float]
    warm: list[float]


def measure(compile: Compile, schema: dict[str, Any], documents: Sequence[list[int]]) -> Times:
    """One repeat of one side. Raises ``ValueError`` where a document is not accepted."""
    start = time.perf_counter()
    begin = compile(schema)
    compiled = time.perf_counter() - start
    passes: list[list[float]] = []
    for _ in ("cold", "warm"):
        spent = []
        for ids in documents:
            writer = begin()
            for token_id in ids:
                start = time.perf_counter()
                writer.mask()
                writer.accept(token_id)
                spent.append(1e3 * (time.perf_counter() - start))
        passes.append(spent)
    return Times(1e3 * compiled, *passes)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=5, help="the median counts")
    parser.add_argument("--text-length", type=int, default=200, help="maxLength in one schema")
    args = parser.parse_args()

    tokenizer = peers.vocabulary("gpt2").ours()
    assert isinstance(tokenizer, ComposedTokenizer)
    sides: dict[str, Compile] = {}
    prepared: dict[str, float] = {}
    for side, prepare in PREPARE.items():
        start = time.perf_counter()
        try:
            sides[side] = prepare(tokenizer)
        except ImportError:
            print(f"{side} is not installed and left out", file=sys.stderr)
            continue
        prepared[side] = 1e3 * (time.perf_counter() - start)

    table = Table(title="GPT-2's vocabulary, one core, milliseconds")
    for column in ("schema", "side"):
        table.add_column(column)
    for column in ("compile", "a token, cold", "slowest", "a token, warm", "whole, cold"):
        table.add_column(column, justify="right")
    results: dict[str, dict[str, object]] = {}
    for name, (schema, values) in jobs(args.text_length).items():
        documents = [tokenizer.encode(json.dumps(value)) for value in values]
        results[name] = {}
        for side, compile in sides.items():
            try:
                times = [measure(compile, schema, documents) for _ in range(args.repeats)]
            except ValueError as error:
                table.add_row(name, side, f"refused: {error}"[:60])
                results[name][side] = "refused"
                continue
            found = {
                "compile_ms": statistics.median(t.compile for t in times),
                "cold_ms": statistics.median(statistics.mean(t.cold) for t in times),
                "slowest_ms": statistics.median(max(t.cold) for t in times),
                "warm_ms": statistics.median(statistics.mean(t.warm) for t in times),
                "whole_ms": statistics.median(t.compile + sum(t.cold) for t in times),
                "tokens": sum(map(len, documents)),
            }
            results[name][side] = {key: round(value, 4) for key, value in found.items()}
            shown = [f"{value:.3f}" for key, value in found.items() if key != "tokens"]
            table.add_row(name, side, *shown)
    Console(width=120).print(table)
    facts = {
        "benchmark": "constrained",
        "vocabulary": tokenizer.vocab_size,
        "repeats": args.repeats,
        "prepare_ms": {side: round(value, 1) for side, value in prepared.items()},
        "results": results,
        "python": platform.python_version(),
        "versions": {side: _version(side) for side in (*SIDES[1:], "numpy", "torch")},
    }
    print(json.dumps(facts))
    return 0


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


if __name__ == "__main__":
    sys.exit(main())
