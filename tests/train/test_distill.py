"""Divergences against their formulas, and the objective against a loop over single tokens."""

from __future__ import annotations

import math
from typing import get_args

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from glassmind.data.batches.columns import COMPLETION
from glassmind.data.batches.packing import Document, pack
from glassmind.model import AttentionConfig, ModelConfig, Transformer
from glassmind.train import Distill, to_batch
from glassmind.train.objectives.divergences import (
    Divergence,
    DivergenceName,
    chunked_divergence,
)

N, D, K, V, REAL = 13, 8, 12, 14, 11  # tokens, both widths, logits, and those that are tokens
NAMES: tuple[DivergenceName, ...] = get_args(DivergenceName)


def inputs(dtype: torch.dtype = torch.float64) -> tuple[list[Tensor], list[Tensor], Tensor]:
    """Hidden states and output layers of student and teacher, and drawn tokens."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=dtype)

    student = [normal(N, D).requires_grad_(), normal(V, D).requires_grad_()]
    teacher = [normal(N, K), normal(V + 3, K)]  # padded to another number
    return student, teacher, torch.randint(0, REAL, (N,), generator=generator)


def by_hand(
    name: DivergenceName, beta: float, temperature: float, s: Tensor, t: Tensor, y: int
) -> Tensor:
    """The formula for one token, with sums over the vocabulary written out; ``s`` and ``t`` are
    the logits of real tokens. Its gradient is what autograd makes of it."""
    p = (s / temperature).softmax(-1)
    q = (t / temperature).softmax(-1)
    if name == "policy-gradient":
        advantage = (q[y].log() - p[y].log()).detach()
        return -advantage * p[y].log()
    total = torch.zeros((), dtype=s.dtype)
    for v in range(len(p)):
        m = beta * q[v] + (1 - beta) * p[v]
        total = (
            total
            + {
                "forward-kl": q[v] * (q[v] / p[v]).log(),
                "reverse-kl": p[v] * (p[v] / q[v]).log(),
                "jsd": beta * q[v] * (q[v] / m).log() + (1 - beta) * p[v] * (p[v] / m).log(),
            }[name]
        )
    return total


@pytest.mark.parametrize("rows", [5, 64])
@pytest.mark.parametrize("temperature", [1.0, 0.6])
@pytest.mark.parametrize("name", NAMES)
def test_value_and_gradients_are_the_formulas(
    name: DivergenceName, temperature: float, rows: int
) -> None:
    student, teacher, drawn = inputs()
    divergence = Divergence(name, 0.3, temperature)
    loss, agreement = chunked_divergence(
        divergence, tuple(student), tuple(teacher), drawn, vocabulary=REAL, rows=rows
    )
    found = torch.autograd.grad(3 * loss, student)

    s_NV = (student[0] @ student[1].T)[:, :REAL]
    t_NV = (teacher[0] @ teacher[1].T)[:, :REAL]
    terms = [
        by_hand(name, 0.3, temperature, s, t, int(y))
        for s, t, y in zip(s_NV, t_NV, drawn, strict=True)
    ]
    expected = torch.stack(terms).mean()
    for ours, theirs in zip(found, torch.autograd.grad(3 * expected, student), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-9)
    assert not found[1][REAL:].any()  # ids that are no tokens learn nothing
    if name == "policy-gradient":  # the value is the estimate of the reverse KL, not the surrogate
        p, q = ((x / temperature).log_softmax(-1) for x in (s_NV, t_NV))
        expected = (p - q)[torch.arange(N), drawn].mean()
    torch.testing.assert_close(loss, expected, rtol=1e-6, atol=1e-9)
    assert agreement == (s_NV.argmax(-1) == t_NV.argmax(-1)).double().mean()


def test_the_policy_gradient_is_that_of_the_reverse_kl_on_average() -> None:
    """Summed over all tokens that the student may draw, each as often as it draws it."""
    student, teacher, _ = inputs()
    one = slice(0, 1)
    hidden, weight = student[0][one].detach().requires_grad_(), student[1].detach()

    def gradient(name: DivergenceName, drawn: int) -> Tensor:
        loss, _ = chunked_divergence(
            Divergence(name, temperature=0.8),
            (hidden, weight),
            (teacher[0][one], teacher[1]),
            torch.tensor([drawn]),
            vocabulary=REAL,
        )
        return torch.autograd.grad(loss, hidden)[0]

    p = ((hidden @ weight[:REAL].T)[0] / 0.8).softmax(-1).detach()
    mean = sum((p[y] * gradient("policy-gradient", y) for y in range(REAL)), torch.zeros(1, D))
    torch.testing.assert_close(mean, gradient("reverse-kl", 0), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("beta", "limit"), [(1e-9, "forward-kl"), (1 - 1e-9, "reverse-kl")])
def test_jsd_tends_to_the_two_kl_divergences(beta: float, limit: DivergenceName) -> None:
    student, teacher, drawn = inputs()
    pair = (tuple(student), tuple(teacher), drawn)
    jsd, _ = chunked_divergence(Divergence("jsd", beta), *pair, vocabulary=REAL)
    kl, _ = chunked_divergence(Divergence(limit), *pair, vocabulary=REAL)
    assert jsd.item() / min(beta, 1 - beta) == pytest.approx(kl.item(), rel=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_a_student_equal_to_its_teacher_has_nothing_to_learn(name: DivergenceName) -> None:
    (hidden, weight), _, drawn = inputs()
    own = (hidden.detach(), weight.detach())
    loss, agreement = chunked_divergence(
        Divergence(name), (hidden, weight), own, drawn, vocabulary=V
    )
    assert loss.item() == pytest.approx(0, abs=1e-12)
    assert agreement.item() == 1
    for gradient in torch.autograd.grad(loss, (hidden, weight)):
        torch.testing.assert_close(gradient, torch.zeros_like(gradient), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_extreme_logits_stay_finite_and_no_token_is_a_loss_of_zero(name: DivergenceName) -> None:
    (hidden, weight), teacher, drawn = inputs(torch.float32)
    far = (1e3 * hidden.detach()).requires_grad_()
    divergence = Divergence(name)
    loss, _ = chunked_divergence(divergence, (far, weight), tuple(teacher), drawn, vocabulary=REAL)
    loss.backward()
    assert loss.isfinite()
    assert far.grad is not None
    assert far.grad.isfinite().all()
    none = (far[:0], weight), (teacher[0][:0], teacher[1]), drawn[:0]
    nothing, _ = chunked_divergence(divergence, *none, vocabulary=REAL)
    nothing.backward()
    assert nothing.item() == 0


class Largest(TorchDispatchMode):
    """Notes the largest tensor any operation returns."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        out = func(*args, **(kwargs or {}))
        if isinstance(out, Tensor):
            self.elements = max(self.elements, out.numel())
        return out


@pytest.mark.parametrize("name", NAMES)
def test_the_logits_of_a_whole_batch_never_exist(name: DivergenceName) -> None:
    n, vocabulary, rows = 256, 2048, 16
    student = torch.randn(n, 4, requires_grad=True), torch.randn(vocabulary, 4, requires_grad=True)
    teacher = torch.randn(n, 6), torch.randn(vocabulary, 6)
    drawn = torch.randint(0, vocabulary, (n,))
    with Largest() as largest:
        chunked_divergence(
            Divergence(name), student, teacher, drawn, vocabulary=vocabulary, rows=rows
        )[0].backward()
    assert largest.elements == rows * vocabulary


def test_bfloat16_under_autocast() -> None:
    (hidden, weight), teacher, drawn = inputs(torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        loss, _ = chunked_divergence(
            Divergence(), (hidden, weight), tuple(teacher), drawn, vocabulary=REAL
        )
    exact, _ = chunked_divergence(
        Divergence(), (hidden, weight), tuple(teacher), drawn, vocabulary=REAL
    )
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(exact.item(), rel=0.05)


# ------------------------------------------------------------------ the objective


def model(seed: int, d_model: int, layers: int, vocabulary: int) -> Transformer:
    attention = AttentionConfig(n_heads=2)
    config = ModelConfig(
        vocabulary, max_tokens=32, d_model=d_model, n_layers=layers, attention=attention
    )
    made = Transformer(config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.normal_(std=0.3, generator=generator)
    return made


@pytest.mark.parametrize("name", NAMES)
def test_the_objective_is_the_mean_over_completion_tokens(name: DivergenceName) -> None:
    student, teacher = model(0, 16, 1, V), model(1, 24, 2, V + 5)
    rng = np.random.default_rng(3)
    chains = [rng.integers(REAL, size=n).astype(np.int32) for n in (7, 4, 9)]
    learned = [np.array([t >= 2 and t != 5 for t in range(len(ids))]) for ids in chains]
    made = [Document(ids, {COMPLETION: c}) for ids, c in zip(chains, learned, strict=True)]
    objective = Distill(student, teacher, Divergence(name, 0.5, 0.9), REAL)
    batch = to_batch(pack(made, 12, pad_id=0), torch.device("cpu"))
    loss, figures = objective.loss(batch)
    loss.backward()
    found = {n: p.grad.clone() for n, p in student.named_parameters() if p.grad is not None}
    assert all(parameter.grad is None for parameter in teacher.parameters())
    student.zero_grad()

    terms, estimates = [], []
    for ids, chosen in zip(chains, learned, strict=True):
        s, t = (m(torch.from_numpy(ids).long()[None])[0, :, :REAL] for m in (student, teacher))
        for at in np.flatnonzero(chosen):
            y = int(ids[at])
            terms.append(by_hand(name, 0.5, 0.9, s[at - 1], t[at - 1].detach(), y))
            log_p, log_q = ((x[at - 1] / 0.9).log_softmax(-1)[y] for x in (s, t))
            estimates.append((log_p - log_q).item())
    assert objective.weight(batch) == len(terms)
    expected = torch.stack(terms).mean()
    value = math.fsum(estimates) / len(estimates) if name == "policy-gradient" else expected.item()
    assert loss.item() == pytest.approx(value, rel=1e-4)
    assert 0 <= float(figures["agreement"]) <= 1
    expected.backward()
    assert found
    for n, parameter in student.named_parameters():
        if parameter.grad is not None:
            torch.testing.assert_close(found[n], parameter.grad, rtol=1e-3, atol=1e-6)


def test_what_makes_no_sense_is_refused() -> None:
    for beta in (0.0, 1.0, math.nan):
        with pytest.raises(ValueError, match="beta"):
            Divergence("jsd", beta)
    with pytest.raises(ValueError, match="temperature"):
        Divergence(temperature=0)
    with pytest.raises(ValueError, match="vocabulary must be 1 to"):
        Distill(model(0, 16, 1, V), model(1, 16, 1, V), Divergence(), V + 1)
