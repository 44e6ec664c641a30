"""The terms of the policy's loss and their gradients, against the papers' formulas as loops."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from glassmind.train.objectives.policy.divergence import divergence
from glassmind.train.objectives.policy.options import PolicyOptions
from glassmind.train.objectives.policy.ratios import log_weights
from glassmind.train.objectives.policy.terms import clipped, policy_terms, term_shares

LENGTHS = (3, 1, 5)
COMPLETION = np.repeat(range(3), LENGTHS)
LONGEST = 6
Formula = Callable[[int, list[int], dict[str, Tensor]], Tensor]
"""The term of token t, given the tokens of its completion and all values."""


def values(seed: int = 0) -> dict[str, Tensor]:
    """Log-probabilities that differ enough to reach every bound, and advantages of both signs."""
    draw = torch.Generator().manual_seed(seed)

    def normal(scale: float) -> Tensor:
        return scale * torch.randn(sum(LENGTHS), generator=draw, dtype=torch.float64)

    old = -normal(1.0).abs() - 0.5
    return {
        "now": (old + normal(0.4)).requires_grad_(),
        "old": old,
        "sampled": old + normal(0.3),
        "reference": old + normal(0.5),
        "advantage": torch.tensor([1.0, -0.7, 0.4], dtype=torch.float64)[COMPLETION],
    }


def ratio(t: int, v: dict[str, Tensor]) -> Tensor:
    return torch.exp(v["now"][t] - v["old"][t])


def clip(x: Tensor, low: float, high: float) -> Tensor:
    return torch.minimum(torch.maximum(x, torch.tensor(low)), torch.tensor(high))


def grpo(t: int, mates: list[int], v: dict[str, Tensor]) -> Tensor:
    rho, a = ratio(t, v), v["advantage"][t]
    return -torch.minimum(rho * a, clip(rho, 1 - 0.2, 1 + 0.28) * a)


def gspo(t: int, mates: list[int], v: dict[str, Tensor]) -> Tensor:
    product = torch.ones((), dtype=torch.float64)
    for mate in mates:
        product = product * ratio(mate, v)
    s, a = product ** (1 / len(mates)), v["advantage"][t]
    return -torch.minimum(s * a, clip(s, 1 - 0.03, 1 + 0.04) * a)


def cispo(t: int, mates: list[int], v: dict[str, Tensor]) -> Tensor:
    weight = clip(ratio(t, v), 1 - 0.2, 1 + 0.28).detach()
    return -weight * v["advantage"][t] * v["now"][t]


def cispo_bounded_above(t: int, mates: list[int], v: dict[str, Tensor]) -> Tensor:
    weight = torch.minimum(ratio(t, v), torch.tensor(1.3)).detach()
    return -weight * v["advantage"][t] * v["now"][t]


def unclipped(t: int, mates: list[int], v: dict[str, Tensor]) -> Tensor:
    return -ratio(t, v) * v["advantage"][t]


def weight(t: int, v: dict[str, Tensor]) -> Tensor:
    return torch.exp(v["old"][t]) / torch.exp(v["sampled"][t])


def product(mates: list[int], v: dict[str, Tensor]) -> Tensor:
    return torch.stack([weight(mate, v) for mate in mates]).prod()


def truncated(t: int, mates: list[int], v: dict[str, Tensor]) -> Tensor:
    return unclipped(t, mates, v) * torch.minimum(weight(t, v), torch.tensor(1.5))


def truncated_sequence(t: int, mates: list[int], v: dict[str, Tensor]) -> Tensor:
    return unclipped(t, mates, v) * torch.minimum(product(mates, v), torch.tensor(1.5))


def masked(t: int, mates: list[int], v: dict[str, Tensor]) -> Tensor:
    w = weight(t, v)
    return unclipped(t, mates, v) * (w if 0.5 <= w <= 1.5 else 0.0)


def masked_sequence(t: int, mates: list[int], v: dict[str, Tensor]) -> Tensor:
    w = product(mates, v)
    return unclipped(t, mates, v) * (w if 0.5 <= w <= 1.5 else 0.0)


def with_kl(estimate: Callable[[Tensor], Tensor], *, by_ratio: bool = False) -> Formula:
    def formula(t: int, mates: list[int], v: dict[str, Tensor]) -> Tensor:
        q = torch.exp(v["reference"][t]) / torch.exp(v["now"][t])
        return unclipped(t, mates, v) + 0.3 * estimate(q) * (ratio(t, v) if by_ratio else 1.0)

    return formula


FREE = {"clip_low": 1.0, "clip_high": math.inf}
WEIGHED = {**FREE, "old": "trainer", "correction_low": 0.5, "correction_high": 1.5}
FORMULAS: dict[str, tuple[Formula, dict[str, object]]] = {
    "grpo": (grpo, {"clip_low": 0.2, "clip_high": 0.28}),
    "gspo": (gspo, {"ratio": "sequence", "clip_low": 0.03, "clip_high": 0.04}),
    "cispo": (cispo, {"surrogate": "cispo", "clip_low": 0.2, "clip_high": 0.28}),
    "cispo above": (cispo_bounded_above, {"surrogate": "cispo", "clip_low": 1, "clip_high": 0.3}),
    "unclipped": (unclipped, FREE),
    "tis": (truncated, {**WEIGHED, "correction": "truncate"}),
    "tis sequence": (
        truncated_sequence,
        {**WEIGHED, "correction": "truncate", "correction_level": "sequence"},
    ),
    "mis": (masked, {**WEIGHED, "correction": "mask"}),
    "mis sequence": (
        masked_sequence,
        {**WEIGHED, "correction": "mask", "correction_level": "sequence"},
    ),
    "k1": (with_kl(lambda q: -torch.log(q)), {**FREE, "kl": 0.3, "kl_estimator": "k1"}),
    "k2": (with_kl(lambda q: torch.log(q) ** 2 / 2), {**FREE, "kl": 0.3, "kl_estimator": "k2"}),
    "k3": (with_kl(lambda q: q - torch.log(q) - 1), {**FREE, "kl": 0.3}),
    "k3 by ratio": (
        with_kl(lambda q: q - torch.log(q) - 1, by_ratio=True),
        {**FREE, "kl": 0.3, "kl_ratio": True},
    ),
}


@pytest.mark.parametrize("normalisation", ["token", "sequence", "constant"])
@pytest.mark.parametrize("name", FORMULAS)
def test_loss_and_gradient_are_the_paper_s(name: str, normalisation: str) -> None:
    formula, switches = FORMULAS[name]
    options = PolicyOptions(
        **switches,  # type: ignore[arg-type]
        normalisation=normalisation,  # type: ignore[arg-type]
        constant_length=LONGEST,
    )
    theirs, mates = values(), [np.flatnonzero(c == COMPLETION).tolist() for c in range(3)]
    means = {
        "token": lambda sums: sum(sums) / sum(LENGTHS),
        "sequence": lambda sums: sum(s / n for s, n in zip(sums, LENGTHS, strict=True)) / 3,
        "constant": lambda sums: sum(sums) / (3 * LONGEST),
    }
    expected = means[normalisation](
        [torch.stack([formula(t, of_one, theirs) for t in of_one]).sum() for of_one in mates]
    )
    expected.backward()
    ours = values()
    terms = policy_terms(
        ours["now"],
        ours["old"],
        ours["advantage"],
        torch.from_numpy(COMPLETION),
        options,
        ours["sampled"],
        ours["reference"],
    )
    loss = (terms * torch.from_numpy(term_shares(COMPLETION, options))).sum()
    loss.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    assert theirs["now"].grad is not None and ours["now"].grad is not None
    assert theirs["now"].grad.any()
    torch.testing.assert_close(ours["now"].grad, theirs["now"].grad, rtol=1e-6, atol=1e-9)


def test_the_bounds_are_reached_on_both_sides() -> None:
    v = values()
    arguments = v["now"], v["old"], v["advantage"], torch.from_numpy(COMPLETION)
    low, high = clipped(*arguments, PolicyOptions())
    rho = torch.exp(v["now"] - v["old"])
    assert low.tolist() == [r < 0.8 and a < 0 for r, a in zip(rho, v["advantage"], strict=True)]
    assert high.tolist() == [r > 1.2 and a > 0 for r, a in zip(rho, v["advantage"], strict=True)]
    low, high = clipped(*arguments, PolicyOptions(surrogate="cispo"))
    assert low.tolist() == (rho < 0.8).tolist() and high.tolist() == (rho > 1.2).tolist()
    assert low.any() and high.any()


def test_a_sequence_s_weight_may_be_too_large_for_a_number() -> None:
    """Two hundred tokens, each 100 times likelier: truncated and masked without a NaN."""
    old, sampled = torch.zeros(200), torch.full((200,), -math.log(100))
    one = torch.zeros(200, dtype=torch.long)
    assert log_weights(old, sampled, one, "sequence").exp().isinf().all()
    for correction, expected in (("truncate", -2.0), ("mask", 0.0)):
        options = PolicyOptions(
            old="trainer",
            correction=correction,  # type: ignore[arg-type]
            correction_level="sequence",
        )
        terms = policy_terms(old, old, torch.ones(200), one, options, sampled)
        assert terms.tolist() == [expected] * 200


def test_no_tokens_no_loss() -> None:
    empty, none = torch.zeros(0), torch.zeros(0, dtype=torch.long)
    for level in ("token", "sequence"):
        options = PolicyOptions(ratio=level)  # type: ignore[arg-type]
        assert policy_terms(empty, empty, empty, none, options).shape == (0,)
        assert term_shares(none.numpy(), options).shape == (0,)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"clip_low": 1.5}, "clip_low must be in"),
        ({"correction": "truncate"}, 'set old = "trainer"'),
        ({"correction_low": 3.0}, "below correction_high"),
        ({"kl_ratio": True, "kl_place": "reward"}, "a reward has no gradient"),
        ({"constant_length": -1}, "constant_length"),
    ],
)
def test_contradicting_switches(settings: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        PolicyOptions(**settings)  # type: ignore[arg-type]


# ------------------------------------------------------------------ what the KL's gradients are

POLICY = torch.tensor([0.5, -0.3, 0.9, -1.2], dtype=torch.float64)  # logits of four answers
REFERENCE = torch.tensor([-0.2, 0.4, 0.1, 0.3], dtype=torch.float64).log_softmax(0)


def true_gradient(*, reverse: bool) -> Tensor:
    logits = POLICY.clone().requires_grad_()
    log = logits.log_softmax(0)
    kl = (log.exp() * (log - REFERENCE)).sum()
    if not reverse:
        kl = (REFERENCE.exp() * (REFERENCE - log)).sum()
    (gradient,) = torch.autograd.grad(kl, logits)
    return gradient


def expected_gradient(estimator: str, place: str, *, by_ratio: bool = False) -> Tensor:
    """The mean, over all four answers weighted by their probability, of the gradient of a loss."""
    logits = POLICY.clone().requires_grad_()
    log = logits.log_softmax(0)
    far = divergence(log, REFERENCE, estimator)  # type: ignore[arg-type]
    if place == "reward":  # what is subtracted from the reward, times the gradient of log π
        far = far.detach() * log
    elif by_ratio:
        far = far * (log - log.detach()).exp()
    (gradient,) = torch.autograd.grad((log.exp().detach() * far).sum(), logits)
    return gradient


def test_each_divergence_has_the_gradient_that_its_docstring_says() -> None:
    right, other = true_gradient(reverse=True), true_gradient(reverse=False)
    assert not torch.allclose(right, other, rtol=0.1)
    assert expected_gradient("k1", "loss").abs().max() < 1e-15
    for estimator, place, by_ratio in (
        ("k2", "loss", False),
        ("k1", "reward", False),
        ("k1", "loss", True),
        ("k3", "loss", True),
    ):
        torch.testing.assert_close(expected_gradient(estimator, place, by_ratio=by_ratio), right)
    torch.testing.assert_close(expected_gradient("k3", "loss"), other)
    for estimator, place, by_ratio in (
        ("k2", "reward", False),
        ("k3", "reward", False),
        ("k2", "loss", True),
    ):
        found = expected_gradient(estimator, place, by_ratio=by_ratio)
        assert not torch.allclose(found, right, rtol=0.05)
        assert not torch.allclose(found, other, rtol=0.05)
