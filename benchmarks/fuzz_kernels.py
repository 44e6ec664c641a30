"""The compiled kernels against the plain formulas, on models of random shapes.

    python benchmarks/fuzz_kernels.py [--shapes 1000] [--seed 0]

A shape is one of the presets whose layers the compiled pass knows, scaled to a random number of
heads, a head size from 8 to 256 and random widths, with weights in one of the four formats. One to
70 tokens are read in pieces at random places of the cache, by the compiled pass (its matrices, its
norms, RoPE, ALiBi, windows, attention over blocks) and by the modules with the same weights, and
the logits are compared. Then each token's row is computed alone and must be the same bits.

``tests/generate/test_fuzzed_kernels.py`` does a few of these shapes.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from glassmind.generate import KINDS, PackedModel, WeightKind, pack_model
from glassmind.generate.cache.paged_cache import PagedCache
from glassmind.generate.packed.allow_list import why_not
from glassmind.learn.architectures.scaled_down import scaled_down
from glassmind.model import PRESETS, ModelConfig, Transformer

VOCAB, MOST_TOKENS = 53, 70
HEAD_SIZES = (8, 10, 16, 24, 32, 40, 64, 80, 96, 128, 160, 192, 256)


@dataclass(frozen=True)
class Shape:
    """What is drawn for one comparison; ``seed`` draws the weights and tokens."""

    preset: str
    config: ModelConfig
    kind: WeightKind
    tokens: int
    pieces: tuple[int, ...]
    seed: int

    def __str__(self) -> str:
        attention = self.config.attention
        return (
            f"{self.preset}, {self.kind}, {self.tokens} tokens in {len(self.pieces)} pieces, "
            f"{attention.n_heads} heads ({self.config.n_kv_heads}) of {self.config.head_dim}, "
            f"width {self.config.d_model}, hidden {self.config.d_hidden}, seed {self.seed}"
        )


def known_presets() -> list[str]:
    """The presets that the compiled pass runs."""
    with torch.device("meta"):
        small = {name: scaled_down(config, 64, 96) for name, config in PRESETS.items()}
    known = []
    for name, config in small.items():
        if why_not(Transformer(replace(config, vocab_size=VOCAB, n_layers=1))) is None:
            known.append(name)
    return known


def draw(seed: int, presets: list[str]) -> Shape:
    """The shape that belongs to ``seed``."""
    rng = random.Random(seed)
    preset = rng.choice(presets)
    base = scaled_down(PRESETS[preset], 64, 96)
    kv_heads = rng.choice((1, 2, 3))
    heads = kv_heads * rng.choice((1, 2, 4))
    head_dim = rng.choice(HEAD_SIZES)
    own_width = base.attention.head_dim > 0
    d_model = rng.choice((24, 48, 72, 136)) if own_width else heads * head_dim
    positions = base.positions
    if positions.kind == "sinusoidal":
        d_model += d_model % 2
    config = replace(
        base,
        vocab_size=VOCAB,
        d_model=d_model,
        n_layers=rng.choice((1, 2)),
        attention=replace(
            base.attention,
            n_heads=heads,
            n_kv_heads=kv_heads,
            head_dim=head_dim if own_width else 0,
            window=rng.choice((1, 7, 16, 40)) if base.attention.window else 0,
        ),
        feed_forward=replace(base.feed_forward, d_hidden=rng.choice((8, 33, 64, 100))),
    )
    tokens = rng.randint(1, MOST_TOKENS)
    cuts = sorted(rng.sample(range(1, tokens), min(tokens - 1, rng.randint(0, 4))))
    pieces = tuple(end - start for start, end in zip([0, *cuts], [*cuts, tokens], strict=True))
    return Shape(preset, config, rng.choice(KINDS), tokens, pieces, seed)


def make(config: ModelConfig) -> Transformer:
    """A model in which every weight matters: none is zero, no norm is the identity."""
    model = Transformer(config).eval()
    for parameter in model.parameters():
        if parameter.ndim == 1 or not parameter.any():
            scale = 0.3 if parameter.ndim == 1 else parameter.shape[-1] ** -0.5
            nn.init.normal_(parameter, mean=float(parameter.ndim == 1), std=scale)
    return model


def read(model: PackedModel, ids_T: Tensor, pieces: tuple[int, ...], tables: Tensor) -> Tensor:
    """The logits of all tokens, which are read in these pieces into these blocks."""
    cache = PagedCache(model.config, len(tables), 1, torch.float32)
    width = cache.tables_RW.shape[1]
    cache.tables_RW[0] = tables[:width]
    logits, first = [], 0
    for size in pieces:
        positions_T = torch.arange(first, first + size)
        cache.expect(torch.zeros_like(positions_T), positions_T)
        hidden = model.hidden(ids_T[None, first : first + size], positions=positions_T, cache=cache)
        logits.append(model.logits(hidden[0]))
        first += size
    return torch.cat(logits)


@torch.inference_mode()
def compare(shape: Shape) -> str:
    """What is wrong, in a sentence; "" if nothing is."""
    torch.manual_seed(shape.seed)
    packed = pack_model(make(shape.config), shape.kind)
    if not isinstance(packed, PackedModel):
        return "it was not packed"
    ids_T = torch.randint(VOCAB, (shape.tokens,))
    tables = torch.randperm(16)
    fast = read(packed, ids_T, shape.pieces, tables)
    plain = packed.unpack()(ids_T[None])[0]
    # The integer formats round a row's inputs to 16 bits.
    close = 3e-5 if shape.kind in ("float32", "bfloat16") else 3e-3
    furthest = float((fast - plain).abs().max() / plain.abs().max())
    if not furthest <= close:  # also if it is not a number
        return f"the logits differ by {furthest:.2g} of the largest; {close} is allowed"
    alone = read(packed, ids_T, (1,) * shape.tokens, tables)
    if not torch.equal(alone, fast):
        return f"rows alone and together differ by {float((alone - fast).abs().max()):.2g}"
    return ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, add_help=True)
    parser.add_argument("--shapes", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0, help="of the first shape")
    args = parser.parse_args()
    presets = known_presets()
    began, wrong = time.monotonic(), []
    done: Counter[str] = Counter()
    for seed in range(args.seed, args.seed + args.shapes):
        shape = draw(seed, presets)
        done[f"{shape.preset} {shape.kind}"] += 1
        problem = compare(shape)
        if problem:
            wrong.append(f"{shape}: {problem}")
            print(wrong[-1], flush=True)
    for kind in KINDS:
        counts = ", ".join(f"{preset} {done[f'{preset} {kind}']}" for preset in presets)
        print(f"{kind:<9} {counts}")
    seconds = time.monotonic() - began
    print(json.dumps({"shapes": args.shapes, "wrong": len(wrong), "seconds": round(seconds, 1)}))
    sys.exit(bool(wrong))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
