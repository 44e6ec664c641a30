"""Packed weights: what is kept of them, and that multiplying does what the formula says."""

from __future__ import annotations

import pytest
import torch

from glassmind.errors import UserError
from glassmind.generate import KINDS, WeightKind
from glassmind.generate.packed import matrix as packed_matrix
from glassmind.generate.packed.matrix import PackedMatrix

SIZES = ((40, 50), (64, 64), (7, 5), (130, 300))


@pytest.fixture(params=SIZES, ids=str)
def weight(request: pytest.FixtureRequest) -> torch.Tensor:
    random = torch.Generator().manual_seed(1)
    n_outputs, n_inputs = request.param
    return torch.randn(n_outputs, n_inputs, generator=random) / n_inputs**0.5


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rows", [1, 2, 3, 4, 6, 7, 13, 200])
def test_products_are_those_of_the_unpacked_weights(
    weight: torch.Tensor, kind: WeightKind, rows: int
) -> None:
    bias = torch.linspace(-1, 1, len(weight))
    x = torch.randn(rows, weight.shape[1], generator=torch.Generator().manual_seed(rows))
    packed = PackedMatrix(weight, kind, bias)
    unpacked = packed.unpack().double()
    expected = x.double() @ unpacked.T + bias
    # Integers meet inputs of 16 bits, each off by half a step of its group's range at most.
    half_step = x.abs().max() / 65534 if kind in ("int8", "int4") else 0.0
    bound = unpacked.abs().sum(1) * half_step + 1e-5
    assert ((packed(x) - expected).abs() <= bound).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_is_the_same_bits_alone_and_among_others(
    weight: torch.Tensor, kind: WeightKind
) -> None:
    packed = PackedMatrix(weight, kind)
    x = torch.randn(201, weight.shape[1])
    together = packed(x)
    for count in (1, 2, 3, 5, 6, 100):
        assert torch.equal(packed(x[40 : 40 + count]), together[40 : 40 + count])


@pytest.mark.parametrize("kind", KINDS)
def test_weights_move_by_half_a_step_at_most(weight: torch.Tensor, kind: WeightKind) -> None:
    moved = (PackedMatrix(weight, kind).unpack() - weight).abs()
    if kind == "float32":
        assert not moved.any()
    elif kind == "bfloat16":
        assert torch.equal(PackedMatrix(weight, kind).unpack(), weight.bfloat16().float())
    else:
        # A group's range is no larger than the matrix', and bfloat16 widens a step a little.
        values = weight.abs().max() * 2
        step = values / 254 if kind == "int8" else values / 15
        assert moved.max() <= step * 0.51


@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_rows_of_the_unpacked_weights(weight: torch.Tensor, kind: WeightKind) -> None:
    packed = PackedMatrix(weight, kind)
    ids = torch.randint(len(weight), (9,))
    assert torch.equal(packed.rows(ids), packed.unpack()[ids])


def test_bits_a_weight() -> None:
    weight = torch.randn(64, 128)
    sizes = {kind: PackedMatrix(weight, kind).n_bytes * 8 / weight.numel() for kind in KINDS}
    assert sizes == {"float32": 32, "bfloat16": 16, "int8": 8.5, "int4": 5}


@pytest.mark.parametrize("kind", KINDS)
def test_zeros_stay_zeros(kind: WeightKind) -> None:
    weight = torch.zeros(32, 64)
    weight[3] = torch.randn(64)
    weight[4, :32] = -2.0
    unpacked = PackedMatrix(weight, kind).unpack()
    assert not unpacked[weight == 0].any()
    torch.testing.assert_close(unpacked[4], weight[4], rtol=0.005, atol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_compiler_the_formula_answers(
    kind: WeightKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    packed, x = PackedMatrix(torch.randn(40, 50), kind), torch.randn(3, 50)
    compiled = packed(x)
    monkeypatch.setattr(packed_matrix, "calls", lambda: None)
    torch.testing.assert_close(packed(x), compiled, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_inputs_that_are_no_numbers_stay_none(kind: WeightKind) -> None:
    x = torch.ones(2, 40)
    x[1, 7] = torch.nan
    out = PackedMatrix(torch.ones(3, 40), kind)(x)
    assert out[0].isfinite().all()
    assert out[1].isnan().all()


def test_weights_that_are_no_numbers_are_refused() -> None:
    weight = torch.ones(3, 40)
    weight[1, 1] = torch.inf
    with pytest.raises(UserError, match="not a number"):
        PackedMatrix(weight, "int8")


@pytest.mark.parametrize("shape", [(0, 40), (3, 0), (40,), (2, 3, 4)])
def test_what_is_no_matrix_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="rows and columns"):
        PackedMatrix(torch.ones(shape), "float32")


@pytest.mark.parametrize("kind", KINDS)
def test_inputs_of_other_types_and_none_at_all(kind: WeightKind) -> None:
    matrix = PackedMatrix(torch.randn(5, 40), kind, torch.ones(5))
    x = torch.randn(3, 40)
    for dtype in (torch.float64, torch.float16, torch.bfloat16):
        assert torch.equal(matrix(x.to(dtype)), matrix(x.to(dtype).float()))
    assert torch.equal(matrix(x.T.contiguous().T), matrix(x))
    assert matrix(x[:0]).shape == (0, 5)
    for wrong in (x[:, :39], torch.randn(3, 41), x[0], x[None]):
        with pytest.raises(ValueError, match="the inputs are"):
            matrix(wrong)


def test_other_weights_must_have_the_same_shape() -> None:
    matrix = PackedMatrix(torch.ones(3, 40), "int8", torch.ones(3))
    for weight, bias in (
        (torch.ones(4, 40), torch.ones(3)),
        (torch.ones(3, 32), torch.ones(3)),
        (torch.ones(3, 40), None),
        (torch.ones(3, 40), torch.ones(1)),
    ):
        with pytest.raises(ValueError, match=r"the (weights|bias)"):
            matrix.load(weight, bias)
