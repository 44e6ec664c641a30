"""A few of the random shapes that ``benchmarks/fuzz_kernels.py`` tries by the thousand, and weights
that are no numbers, or very large ones."""

from __future__ import annotations

import functools

import pytest
import torch
from fuzz_kernels import compare, draw, known_presets, make
from packed_cases import PLAIN, in_pieces

from glassmind.errors import UserError
from glassmind.generate import KINDS, PackedModel, WeightKind, pack_model
from glassmind.generate.packed.native import library

pytestmark = pytest.mark.skipif(library() is None, reason="there is no C++ compiler here")

presets = functools.cache(known_presets)


def test_most_presets_are_among_the_shapes() -> None:
    assert {"gpt2", "llama3", "qwen3", "gemma3", "olmo2", "bloom", "glassmind"} <= {*presets()}


@pytest.mark.parametrize("seed", range(8))
def test_compiled_and_plain_agree_on_any_shape(seed: int) -> None:
    shape = draw(seed, presets())
    assert compare(shape) == "", str(shape)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize(
    "name", ["blocks.0.attention.query.weight", "blocks.1.attention_norm.weight"]
)
def test_weights_that_are_no_numbers_reach_no_kernel(
    name: str, value: float, kind: WeightKind
) -> None:
    model = make(PLAIN)
    with torch.no_grad():
        model.get_parameter(name).view(-1)[3] = value
    with pytest.raises(UserError, match="not a number"):
        pack_model(model, kind)


@pytest.mark.parametrize("kind", KINDS)
@torch.inference_mode()
def test_a_weight_of_1e30_spoils_what_it_spoils_in_the_formula(kind: WeightKind) -> None:
    model = make(PLAIN)
    model.get_parameter("blocks.1.feed_forward.up.weight")[3, 5] = 1e30
    packed = pack_model(model, kind)
    assert isinstance(packed, PackedModel)
    ids = torch.randint(97, (9,))
    modules, fast = packed.unpack(), in_pieces(packed, ids)
    # One token after the other: read together, what is masked is still multiplied by zero.
    plain = torch.stack([modules(ids[None, : n + 1])[0, -1] for n in range(len(ids))])
    assert torch.equal(plain.isfinite(), fast.isfinite())
    kept = plain.isfinite()
    torch.testing.assert_close(fast[kept], plain[kept], rtol=1e-2, atol=1e-2)
    # What was read before is not touched by it, and the next request neither.
    again = in_pieces(packed, ids)
    assert torch.equal(again.nan_to_num(), fast.nan_to_num())
    healthy = pack_model(make(PLAIN), kind)
    assert isinstance(healthy, PackedModel)
    assert in_pieces(healthy, ids).isfinite().all()
