"""New weights in a packed model and its engine, against packing and starting from scratch."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest
import torch
from packed_cases import CONFIGS, PLAIN, make
from torch import nn

from glassmind.errors import UserError
from glassmind.generate import (
    KINDS,
    Engine,
    PackedModel,
    Request,
    SamplingParams,
    WeightKind,
    pack_model,
)
from glassmind.generate.packed.native import library
from glassmind.model import Block, ModelConfig, Transformer

pytestmark = pytest.mark.skipif(library() is None, reason="there is no C++ compiler here")

REQUEST = [Request(tuple(range(40)), SamplingParams(12, seed=3))]


def trained(config: ModelConfig) -> Transformer:
    """Other weights than ``make`` gives, all random."""
    torch.manual_seed(1)
    model = Transformer(config).eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, mean=float(parameter.ndim == 1), std=0.3)
    return model


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CONFIGS)
def test_refreshed_is_packed_from_scratch(name: str, kind: WeightKind) -> None:
    config = CONFIGS[name]
    packed = pack_model(make(config), kind)
    assert isinstance(packed, PackedModel)
    engine = Engine(packed)
    old = engine.generate(REQUEST)
    new_weights = trained(config)
    engine.refresh(new_weights)
    # No block of the prompt may be found again either: its keys are those of the old weights.
    new = engine.generate(REQUEST)
    assert new != old
    assert new == Engine(pack_model(new_weights, kind)).generate(REQUEST)


def test_an_engine_for_modules_forgets_too() -> None:
    model = make(PLAIN)
    engine = Engine(model)
    engine.generate(REQUEST)
    free = engine.n_free_blocks
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.5)
    stale = engine.generate(REQUEST)
    engine.refresh()
    assert engine.n_free_blocks == free
    fresh = Engine(model).generate(REQUEST)
    assert engine.generate(REQUEST) == fresh
    assert stale != fresh  # what refresh is for


def test_what_refresh_refuses_leaves_everything_as_it_was() -> None:
    model = make(PLAIN)
    engine = Engine(pack_model(model))
    before = engine.generate(REQUEST)
    damaged = trained(PLAIN)
    with torch.no_grad():
        cast(Block, damaged.blocks[2]).attention.output.weight[3, 4] = torch.nan
    with pytest.raises(UserError, match="not a number"):
        engine.refresh(damaged)
    with pytest.raises(UserError, match="the same config"):
        engine.refresh(make(replace(PLAIN, n_layers=2)))
    with pytest.raises(ValueError, match="new weights"):
        engine.refresh()
    with pytest.raises(ValueError, match="another model"):
        Engine(model).refresh(damaged)
    assert engine.generate(REQUEST) == before
    engine.submit(REQUEST[0])
    with pytest.raises(RuntimeError, match="busy"):
        engine.refresh(model)
