"""The draw against plain formulas: which tokens come, how often, with what log-probability."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from glassmind.errors import UserError
from glassmind.generate import Sampler, SamplingParams
from glassmind.generate.sampler import filter_thresholds

CPU = torch.device("cpu")


def plain_distribution(logits: list[float], params: SamplingParams) -> list[float]:
    """Temperature, then top-k, then top-p, read off their definitions; ties are kept."""
    if params.temperature == 0:
        return [1.0 if i == logits.index(max(logits)) else 0.0 for i in range(len(logits))]
    scaled = [x / params.temperature for x in logits]
    weights = [math.exp(x - max(scaled)) for x in scaled]
    if params.top_k:
        kth = sorted(weights, reverse=True)[min(params.top_k, len(weights)) - 1]
        weights = [w if w >= kth else 0.0 for w in weights]
    if params.top_p < 1:
        goal, reached = params.top_p * sum(weights), 0.0
        least = 0.0
        for w in sorted(weights, reverse=True):
            reached, least = reached + w, w
            if reached >= goal:
                break
        weights = [w if w >= least else 0.0 for w in weights]
    return [w / sum(weights) for w in weights]


def draw_many(logits: list[float], params: SamplingParams, n: int) -> tuple[Tensor, Tensor]:
    sampler = Sampler([params] * n, list(range(n)), CPU)
    return sampler.draw(torch.tensor(logits).repeat(n, 1), 0)


SETTINGS = [
    SamplingParams(1, seed=1),
    SamplingParams(1, temperature=0.5, seed=2),
    SamplingParams(1, temperature=2.0, seed=3),
    SamplingParams(1, top_k=3, seed=4),
    SamplingParams(1, top_p=0.7, seed=5),
    SamplingParams(1, temperature=1.3, top_k=6, top_p=0.8, seed=6),
]


@pytest.mark.parametrize("params", SETTINGS, ids=str)
def test_frequencies_follow_the_distribution(params: SamplingParams) -> None:
    """Chi-square of 20,000 draws; 40 is beyond the 99.9 % point of up to 9 degrees of freedom."""
    logits = [0.1, 2.0, -1.0, 0.7, 1.1, -3.0, 0.0, 1.9, -0.4, 0.5]
    n = 20_000
    expected = plain_distribution(logits, params)
    counts = torch.bincount(draw_many(logits, params, n)[0], minlength=len(logits)).tolist()
    assert all(count == 0 for count, p in zip(counts, expected, strict=True) if p == 0)
    chi_square = sum(
        (count - n * p) ** 2 / (n * p) for count, p in zip(counts, expected, strict=True) if p
    )
    assert chi_square < 40


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.integers(-40, 40), min_size=1, max_size=90),
    st.integers(0, 100),
    st.sampled_from([1.0, 0.97, 0.9, 0.5, 0.05]),
)
def test_filters_keep_what_the_formula_keeps(values: list[int], top_k: int, top_p: float) -> None:
    """Vocabularies above and below the number of nucleus candidates, with many ties."""
    logits = [value / 8 for value in values]
    params = SamplingParams(1, top_k=top_k, top_p=top_p)
    thresholds = filter_thresholds(
        torch.tensor([logits]), torch.tensor([top_k]), torch.tensor([top_p])
    )
    kept = (torch.tensor([logits]) >= thresholds)[0].tolist()
    expected = [p > 0 for p in plain_distribution(logits, params)]
    # A cumulative sum may meet the goal exactly, and rounding then decides either way.
    near = [
        [p > 0 for p in plain_distribution(logits, SamplingParams(1, top_k=top_k, top_p=close))]
        for close in (top_p * 0.99999, min(1.0, top_p * 1.00001))
    ]
    assert kept == expected or kept in near


def test_flat_distribution_needs_the_full_sort() -> None:
    logits = torch.linspace(0, 0.1, 1000)[None]
    thresholds = filter_thresholds(logits, torch.tensor([0]), torch.tensor([0.5]))
    probabilities = logits.softmax(1)
    kept = probabilities[logits >= thresholds]
    assert 0.5 <= kept.sum() < 0.5 + 2 * kept.min()


def test_greedy_takes_the_first_of_the_likeliest() -> None:
    tokens, logprobs = draw_many([0.0, 3.0, 3.0], SamplingParams(1, temperature=0), 4)
    assert tokens.tolist() == [1] * 4
    torch.testing.assert_close(logprobs, torch.tensor([0.0, 3, 3]).log_softmax(0)[1].repeat(4))


def test_rows_with_different_settings_do_not_touch_each_other() -> None:
    torch.manual_seed(0)
    params = [*SETTINGS, SamplingParams(1, temperature=0), SamplingParams(1, top_k=1)]
    logits = torch.randn(len(params), 300) * 3
    together, together_logprobs = Sampler(params, [5] * len(params), CPU).draw(logits, 9)
    for row, p in enumerate(params):
        alone, alone_logprobs = Sampler([p], [5], CPU).draw(logits[row : row + 1], 9)
        assert alone.item() == together[row]
        torch.testing.assert_close(alone_logprobs[0], together_logprobs[row])


@pytest.mark.parametrize("params", SETTINGS, ids=str)
def test_logprobs_are_the_unmodified_models(params: SamplingParams) -> None:
    torch.manual_seed(0)
    logits = torch.randn(64, 500) * 4
    tokens, logprobs = Sampler([params] * 64, list(range(64)), CPU).draw(logits, 3)
    expected = logits.log_softmax(1)[torch.arange(64), tokens]
    torch.testing.assert_close(logprobs, expected, atol=1e-5, rtol=0)


def test_extreme_logits_and_temperatures() -> None:
    logits = [-1e30, 1e30, -math.inf, 5.0]
    for temperature in (1e-4, 1.0, 1e30):
        tokens, _ = draw_many(logits, SamplingParams(1, temperature=temperature), 200)
        assert 2 not in tokens.tolist()
    tokens, _ = draw_many([0.0, 1e-3], SamplingParams(1, temperature=1e-4), 200)
    assert tokens.float().mean() > 0.99
    assert draw_many([math.nan, 0.0], SamplingParams(1), 3)[1].isnan().all()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("samples", 0),
        ("max_new_tokens", 0),
        ("temperature", -1.0),
        ("temperature", math.nan),
        ("temperature", math.inf),
        ("temperature", 1e-9),
        ("top_k", -1),
        ("top_p", 0.0),
        ("top_p", 1.5),
        ("top_p", math.nan),
    ],
)
def test_bad_parameters_are_refused_by_name(field: str, value: float) -> None:
    arguments = {"max_new_tokens": 5, field: value}
    with pytest.raises(UserError, match=field):
        SamplingParams(**arguments)  # type: ignore[arg-type]
