"""No table of all pairs: what the attention of a long row may allocate, for every architecture.

Rows here are longer than those for which a table is written out; every tensor that any operation
brings forth is looked at, forward and backward, with and without a cache.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from glassmind.generate import Engine, Request, SamplingParams
from glassmind.learn.architectures.scaled_down import N_HEADS, scaled_down
from glassmind.model import PRESETS, KVCache, Transformer, causal, probe, same_document
from glassmind.model.chunked import TILE
from glassmind.model.scoring import DENSE_UP_TO

VOCAB = 17
LONG = DENSE_UP_TO + 352
ONE_TILE = N_HEADS * TILE**2  # of scores, for every head: all there may be
assert ONE_TILE < LONG**2 / 5


class Largest(TorchDispatchMode):
    """Notes the most elements of any tensor that an operation brings forth."""

    def __init__(self) -> None:
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        out = function(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, tuple | list) else (out,):
            # A view or a broadcast takes no memory of its own: count what is stored.
            if isinstance(tensor, Tensor):
                size = tensor.untyped_storage().nbytes() // tensor.element_size()
                self.elements = max(self.elements, size)
        return out


def make(name: str) -> Transformer:
    """The preset with two layers, one of each kind where it has two kinds."""
    config = scaled_down(PRESETS[name], d_model=16, max_tokens=LONG)
    attention, positions = config.attention, config.positions
    return Transformer(
        replace(
            config,
            vocab_size=VOCAB,
            n_layers=2,
            attention=replace(attention, global_every=2 if attention.global_every else 0),
            positions=replace(positions, nope_every=2 if positions.nope_every else 0),
        )
    )


def some_ids() -> Tensor:
    return torch.randint(VOCAB, (1, LONG), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", PRESETS)
def test_training_on_a_long_row(name: str) -> None:
    model, ids = make(name), some_ids()
    with Largest() as largest:
        model(ids).sum().backward()
    assert largest.elements <= ONE_TILE


@pytest.mark.parametrize("name", ["llama3", "gemma3", "bloom", "deepseek-v3"])
def test_packed_documents_in_a_long_row(name: str) -> None:
    model, ids = make(name), some_ids()
    documents = torch.arange(LONG)[None] // 700
    positions = torch.arange(LONG)[None] % 700
    with Largest() as largest:
        model(ids, positions=positions, mask=causal & same_document(documents)).sum().backward()
    assert largest.elements <= ONE_TILE


@pytest.mark.parametrize("name", PRESETS)
@torch.no_grad()
def test_a_long_prompt_in_a_cache(name: str) -> None:
    """In one piece, and in two, of which the second is long as well."""
    model, ids = make(name).eval(), some_ids()
    for pieces in (ids.split(LONG, 1), ids.split((200, LONG - 200), 1)):
        cache = KVCache(model.config, 1, LONG)
        with Largest() as largest:
            for piece in pieces:
                model(piece, cache=cache)
        assert largest.elements <= ONE_TILE


@pytest.mark.parametrize("name", ["llama3", "gemma3", "bloom", "deepseek-v3", "mixtral"])
def test_a_long_prompt_in_the_engine(name: str) -> None:
    prompt = tuple(some_ids()[0, :-2].tolist())
    engine = Engine(make(name))
    with Largest() as largest:
        engine.generate([Request(prompt, SamplingParams(max_new_tokens=2))])
    assert largest.elements <= ONE_TILE


@torch.no_grad()
def test_the_guard_sees_a_table() -> None:
    model, ids = make("llama3"), some_ids()
    with probe(model, read=["blocks.*.attention.weights"]), Largest() as largest:
        model(ids)
    assert largest.elements >= LONG**2
