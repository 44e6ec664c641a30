"""Muon: the orthogonalisation against an SVD, the batch against single matrices."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from glassmind.train.optimizers.muon import Muon, orthogonalise

SHAPES = [(16, 16), (16, 48), (48, 16), (5, 64), (64, 5), (1, 8)]


def random_matrix(rows: int, columns: int, seed: int = 0) -> Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_singular_values_come_near_one_and_directions_stay(
    shape: tuple[int, int], scale: float
) -> None:
    matrix = random_matrix(*shape) * scale
    u, _, vh = torch.linalg.svd(matrix, full_matrices=False)
    # The same singular vectors, each with a strength of its own near 1.
    core = u.T @ orthogonalise(matrix[None])[0] @ vh.T
    strengths = core.diagonal()
    if shape[0] != shape[1]:  # a square random matrix may have a singular value near 0
        assert strengths.min() > 0.6
    assert strengths.max() < 1.3
    torch.testing.assert_close(core, core.diagonal().diag(), atol=2e-3, rtol=0)


def test_an_ill_conditioned_matrix_is_evened_out() -> None:
    u, _, vh = torch.linalg.svd(random_matrix(12, 30), full_matrices=False)
    matrix = u @ torch.logspace(0, -1.5, 12).diag() @ vh
    values = torch.linalg.svdvals(orthogonalise(matrix[None])[0])
    assert values.min() > 0.6
    assert values.max() < 1.3


@pytest.mark.parametrize("shape", SHAPES)
def test_a_batch_is_its_matrices_one_by_one(shape: tuple[int, int]) -> None:
    batch = torch.stack([random_matrix(shape[0], shape[1], s) * 10.0**s for s in range(4)])
    single = torch.cat([orthogonalise(matrix[None]) for matrix in batch])
    torch.testing.assert_close(orthogonalise(batch), single, atol=1e-5, rtol=1e-4)


def test_a_zero_gradient_moves_nothing() -> None:
    assert not orthogonalise(torch.zeros(1, 4, 6)).any()


def plain_step(
    weight: Tensor, grad: Tensor, momentum: Tensor, lr: float, decay: float
) -> tuple[Tensor, Tensor]:
    """The rule for one matrix, from its definition."""
    momentum = 0.95 * momentum + 0.05 * grad
    direction = orthogonalise((0.05 * grad + 0.95 * momentum)[None])[0]
    size = lr * math.sqrt(max(1.0, weight.shape[0] / weight.shape[1]))
    return weight * (1 - lr * decay) - size * direction, momentum


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_steps_follow_the_rule_for_every_shape_at_once(decay: float) -> None:
    shapes = [(8, 24), (24, 8), (8, 24), (8, 8), (6, 3)]
    params = [
        torch.nn.Parameter(random_matrix(shape[0], shape[1], i)) for i, shape in enumerate(shapes)
    ]
    expected = [p.detach().clone() for p in params]
    momenta = [torch.zeros(shape) for shape in shapes]
    optimizer = Muon(params, lr=0.05, weight_decay=decay)
    for step in range(4):
        for i, p in enumerate(params):
            p.grad = random_matrix(p.shape[0], p.shape[1], 100 * step + i)
            expected[i], momenta[i] = plain_step(expected[i], p.grad, momenta[i], 0.05, decay)
        optimizer.step()
    for p, wanted in zip(params, expected, strict=True):
        torch.testing.assert_close(p.detach(), wanted, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("shape", [(16, 48), (48, 16), (32, 2)])
def test_an_update_has_the_size_that_is_promised(shape: tuple[int, int]) -> None:
    p = torch.nn.Parameter(torch.zeros(shape))
    p.grad = random_matrix(*shape) * 1e3
    Muon([p], lr=0.02).step()
    promised = 0.02 * math.sqrt(max(1.0, shape[0] / shape[1]))
    values = torch.linalg.svdvals(p.detach()) / promised
    assert 0.6 < values.min() <= values.max() < 1.3


def test_parameters_without_gradient_stay() -> None:
    still, moved = (torch.nn.Parameter(torch.ones(3, 4)) for _ in range(2))
    moved.grad = random_matrix(3, 4)
    Muon([still, moved]).step()
    assert torch.equal(still, torch.ones(3, 4))
    assert not torch.equal(moved, torch.ones(3, 4))


def test_vectors_are_refused() -> None:
    with pytest.raises(ValueError, match="Muon is for matrices"):
        Muon([torch.nn.Parameter(torch.zeros(3))])
