"""The loss in chunks against PyTorch's, value and gradients, and what it saves."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from glassmind.train.objectives.chunked_loss import chunk_rows, chunked_cross_entropy

N, D, V = 37, 16, 23


def inputs(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(N, D, generator=generator, dtype=dtype)
    weight = torch.randn(V, D, generator=generator, dtype=dtype)
    return hidden, weight, torch.randint(0, V, (N,), generator=generator)


@pytest.mark.parametrize("rows", [1, 5, 36, 37, 100])
def test_value_and_gradients(rows: int) -> None:
    hidden, weight, targets = inputs()
    mine = [hidden.clone().requires_grad_(), weight.clone().requires_grad_()]
    theirs = [hidden.clone().requires_grad_(), weight.clone().requires_grad_()]
    ours = chunked_cross_entropy(*mine, targets, rows=rows)
    reference = F.cross_entropy(F.linear(*theirs), targets)
    (3 * ours).backward()
    (3 * reference).backward()
    torch.testing.assert_close(ours.double(), reference, rtol=1e-6, atol=0)
    for a, b in zip(mine, theirs, strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=0, atol=1e-6)  # softmax is in float32


@pytest.mark.parametrize("frozen", [0, 1])
def test_only_what_is_trained_gets_a_gradient(frozen: int) -> None:
    hidden, weight, targets = inputs(torch.float32)
    leaves = [hidden, weight]
    leaves[1 - frozen].requires_grad_()
    chunked_cross_entropy(hidden, weight, targets).backward()
    assert leaves[frozen].grad is None
    assert leaves[1 - frozen].grad is not None


def test_bfloat16_under_autocast() -> None:
    hidden, weight, targets = inputs(torch.float32)
    hidden = hidden.bfloat16().requires_grad_()
    weight.requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        loss = chunked_cross_entropy(hidden, weight, targets, rows=8)
        reference = F.cross_entropy(F.linear(hidden, weight).float(), targets)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, reference, rtol=1e-3, atol=0)
    grads = torch.autograd.grad(loss, (hidden, weight))
    expected = torch.autograd.grad(reference, (hidden, weight))
    for ours, theirs in zip(grads, expected, strict=True):
        assert ours.dtype == theirs.dtype
        torch.testing.assert_close(ours.float(), theirs.float(), rtol=0.05, atol=1e-3)


def test_nothing_to_learn_is_a_loss_of_zero() -> None:
    hidden, weight, targets = inputs(torch.float32)
    hidden.requires_grad_()
    loss = chunked_cross_entropy(hidden[:0], weight, targets[:0])
    loss.backward()
    assert loss.item() == 0.0
    assert not hidden.grad.any()


def test_extreme_logits_stay_finite() -> None:
    hidden, weight, targets = inputs(torch.float32)
    hidden = (1e4 * hidden).requires_grad_()
    loss = chunked_cross_entropy(hidden, weight, targets)
    loss.backward()
    assert loss.isfinite()
    assert hidden.grad.isfinite().all()


class Largest(TorchDispatchMode):
    """Notes the largest tensor any operation returns."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        out = func(*args, **(kwargs or {}))
        if isinstance(out, Tensor):
            self.elements = max(self.elements, out.numel())
        return out


def test_the_logits_of_a_whole_batch_never_exist() -> None:
    hidden, weight = torch.randn(512, 8, requires_grad=True), torch.randn(4096, 8)
    with Largest() as largest:
        targets = torch.randint(0, 4096, (512,))
        chunked_cross_entropy(hidden, weight.requires_grad_(), targets, 32).backward()
    assert largest.elements == 32 * 4096


def test_chunks_fit_the_cache_or_have_rows_enough() -> None:
    assert chunk_rows(64) == 2**14
    assert chunk_rows(1024) == 1024
    assert chunk_rows(49_152) == chunk_rows(128_256) == 512
