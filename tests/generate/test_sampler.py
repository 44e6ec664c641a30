"""The draw against plain formulas: which tokens come, how often, with what log-probability."""

from __future__ import annotations

import math
from itertools import product

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from glassmind.errors import UserError
from glassmind.generate.request import SamplingParams
from glassmind.generate.sampling.filters import filter_thresholds
from glassmind.generate.sampling.sampler import Sampler

CPU = torch.device("cpu")


def plain_distribution(logits: list[float], params: SamplingParams) -> list[float]:
    """Temperature, top-k, top-p, min-p in this order, read off their definitions; ties are kept."""
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
    weights = [w if w >= params.min_p * max(weights) else 0.0 for w in weights]
    return [w / sum(weights) for w in weights]


def draw_many(logits: list[float], params: SamplingParams, n: int) -> tuple[Tensor, Tensor]:
    sampler = Sampler([params] * n, list(range(n)), CPU)
    drawn = sampler.draw(torch.tensor(logits).repeat(n, 1), 0)
    return drawn.tokens_R, drawn.logprobs_R


SETTINGS = [
    SamplingParams(1, seed=1),
    SamplingParams(1, temperature=0.5, seed=2),
    SamplingParams(1, temperature=2.0, seed=3),
    SamplingParams(1, top_k=3, seed=4),
    SamplingParams(1, top_p=0.7, seed=5),
    SamplingParams(1, temperature=1.3, top_k=6, top_p=0.8, seed=6),
    SamplingParams(1, min_p=0.2, seed=7),
    SamplingParams(1, temperature=1.5, top_k=8, top_p=0.95, min_p=0.1, seed=8),
]


@pytest.mark.parametrize("params", SETTINGS, ids=range(len(SETTINGS)))
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
        torch.tensor([logits]), torch.tensor([top_k]), torch.tensor([top_p]), torch.zeros(1)
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
    thresholds = filter_thresholds(logits, torch.tensor([0]), torch.tensor([0.5]), torch.zeros(1))
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
    together = Sampler(params, [5] * len(params), CPU).draw(logits, 9)
    for row, p in enumerate(params):
        alone = Sampler([p], [5], CPU).draw(logits[row : row + 1], 9)
        assert alone.tokens_R[0] == together.tokens_R[row]
        torch.testing.assert_close(alone.logprobs_R[0], together.logprobs_R[row])


@pytest.mark.parametrize("params", SETTINGS, ids=range(len(SETTINGS)))
def test_logprobs_are_the_unmodified_models(params: SamplingParams) -> None:
    torch.manual_seed(0)
    logits = torch.randn(64, 500) * 4
    drawn = Sampler([params] * 64, list(range(64)), CPU).draw(logits, 3)
    expected = logits.log_softmax(1)[torch.arange(64), drawn.tokens_R]
    torch.testing.assert_close(drawn.logprobs_R, expected, atol=1e-5, rtol=0)


def test_extreme_logits_and_temperatures() -> None:
    logits = [-1e30, 1e30, -math.inf, 5.0]
    for temperature in (1e-4, 1.0, 1e30):
        tokens, _ = draw_many(logits, SamplingParams(1, temperature=temperature), 200)
        assert 2 not in tokens.tolist()
    tokens, _ = draw_many([0.0, 1e-3], SamplingParams(1, temperature=1e-4), 200)
    assert tokens.float().mean() > 0.99
    assert draw_many([math.nan, 0.0], SamplingParams(1), 3)[1].isnan().all()


def transformers_distribution(logits_RV: Tensor, params: SamplingParams) -> Tensor:
    """What ``transformers`` would draw from, its processors in its own order."""
    warpers = transformers.LogitsProcessorList([])
    warpers.append(transformers.TemperatureLogitsWarper(params.temperature))
    if params.top_k:
        warpers.append(transformers.TopKLogitsWarper(params.top_k))
    if params.top_p < 1:
        warpers.append(transformers.TopPLogitsWarper(params.top_p))
    if params.min_p:
        warpers.append(transformers.MinPLogitsWarper(params.min_p))
    return warpers(torch.zeros(len(logits_RV), 1, dtype=torch.int64), logits_RV).softmax(1)


def test_the_distribution_is_that_of_transformers() -> None:
    torch.manual_seed(0)
    for temperature, top_k, top_p, min_p in product(
        [0.6, 1.0, 1.7], [0, 1, 40], [0.3, 0.95, 1.0], [0.0, 0.05, 0.5]
    ):
        params = SamplingParams(1, temperature, top_k=top_k, top_p=top_p, min_p=min_p)
        logits = torch.randn(20, 300) * 3
        ours = Sampler([params] * 20, [0] * 20, CPU).distribution(logits)
        torch.testing.assert_close(
            ours, transformers_distribution(logits, params), atol=1e-6, rtol=1e-4
        )


def test_drawing_follows_the_distribution_it_says_it_follows() -> None:
    """Chi-square of 20,000 draws with everything at once, over the tokens that are possible."""
    params = SamplingParams(
        1,
        temperature=1.2,
        top_k=7,
        min_p=0.02,
        repetition_penalty=1.3,
        presence_penalty=0.4,
        frequency_penalty=0.3,
        logit_bias=((0, 1.0), (4, -0.5)),
        seed=3,
    )
    logits = torch.tensor([0.1, 2.0, -1.0, 0.7, 1.1, -3.0, 0.0, 1.9, -0.4, 0.5])
    mask = torch.tensor([True] * 7 + [False] + [True] * 2)
    history, n = ([1, 2], [1, 3, 3]), 20_000
    sampler = Sampler([params] * n, list(range(n)), CPU)
    allowed = dict.fromkeys(range(n), mask)
    drawn = sampler.draw(logits.repeat(n, 1), 0, [history] * n, allowed)
    counts = torch.bincount(drawn.tokens_R, minlength=10)
    one = Sampler([params], [0], CPU).distribution(logits[None], [history], {0: mask})[0]
    possible = one > 0
    assert 3 < int(possible.sum()) <= 7
    assert not counts[~possible].any()
    expected = one[possible] * n
    assert float(((counts[possible] - expected) ** 2 / expected).sum()) < 25  # 99.9 %: 22.5 at 6
    torch.testing.assert_close(drawn.logprobs_R, logits.log_softmax(0)[drawn.tokens_R])


def test_every_row_has_a_step_of_its_own() -> None:
    torch.manual_seed(0)
    logits = torch.randn(6, 50)
    params = [SamplingParams(1, seed=row // 2) for row in range(6)]
    sampler = Sampler(params, [0, 1] * 3, CPU)
    steps = [0, 5, 5, 1, 9, 0]
    together = sampler.draw(logits, torch.tensor(steps)).tokens_R.tolist()
    assert together == [int(sampler.draw(logits, step).tokens_R[r]) for r, step in enumerate(steps)]


def test_greedy_rows_obey_biases_penalties_and_masks() -> None:
    logits = torch.tensor([[1.0, 3.0, 2.0]]).repeat(4, 1)
    params = [
        SamplingParams(1, temperature=0, logit_bias=((0, 5.0),)),
        SamplingParams(1, temperature=0, repetition_penalty=2.0),
        SamplingParams(1, temperature=0),
        SamplingParams(1, temperature=0),
    ]
    sampler = Sampler(params, [0] * 4, CPU)
    assert sampler.needs_history == [1]
    mask = torch.tensor([True, False, False])
    drawn = sampler.draw(logits, 0, [((1,), ())], {2: mask})
    assert drawn.tokens_R.tolist() == [0, 2, 0, 1]
    torch.testing.assert_close(drawn.logprobs_R, logits.log_softmax(1)[range(4), [0, 2, 0, 1]])
    one_hot = sampler.distribution(logits, [((1,), ())], {2: mask})
    assert one_hot.argmax(1).tolist() == [0, 2, 0, 1]
    assert one_hot.sum(1).tolist() == one_hot.amax(1).tolist() == [1] * 4


def test_the_likeliest_tokens_are_given_to_who_asks() -> None:
    torch.manual_seed(0)
    logits = torch.randn(3, 30) * 4
    asked = [0, 5, 2]
    for temperature in (0.0, 1.0, 0.7):
        params = [
            SamplingParams(1, temperature, top_logprobs=n, logit_bias=((1, 9.0),)) for n in asked
        ]
        top = Sampler(params, [0] * 3, CPU).draw(logits, 0).top
        assert top is not None
        ids, logprobs = top
        assert ids.shape == logprobs.shape == (3, 5)
        for row, n in enumerate(asked):
            expected = logits[row].log_softmax(0).topk(n)
            assert ids[row, :n].tolist() == expected.indices.tolist()
            torch.testing.assert_close(logprobs[row, :n], expected.values)
    assert Sampler([SamplingParams(1)] * 3, [0] * 3, CPU).draw(logits, 0).top is None
    few = Sampler([SamplingParams(1, top_logprobs=20)], [0], CPU).draw(logits[:1, :4], 0).top
    assert few is not None
    assert few[0].shape == (1, 4)


def test_a_row_that_nothing_may_follow_is_refused() -> None:
    sampler = Sampler([SamplingParams(1)] * 2, [0, 1], CPU)
    masks = {1: torch.zeros(5, dtype=torch.bool)}
    with pytest.raises(UserError, match="allows no token"):
        sampler.draw(torch.zeros(2, 5), 0, allowed=masks)


def test_rows_draw_the_same_in_other_company() -> None:
    torch.manual_seed(0)
    params = [
        SamplingParams(1, seed=1),
        SamplingParams(1, seed=2, presence_penalty=2, top_logprobs=3),
        SamplingParams(1, seed=3, temperature=0, logit_bias=((3, 4.0),)),
        SamplingParams(1, seed=4, repetition_penalty=3, top_k=4),
    ]
    histories = [([], [1, 2, 3]), ([4, 5], [6])]
    logits = torch.randn(4, 8)
    before = Sampler(params, [0, 1, 2, 3], CPU).draw(logits, 4, histories)
    rows = [3, 1, 2]
    sampler = Sampler([params[row] for row in rows], rows, CPU)
    assert sampler.needs_history == [0, 1]
    after = sampler.draw(logits[rows], 4, histories[::-1])
    assert after.tokens_R.tolist() == before.tokens_R[rows].tolist()
    torch.testing.assert_close(after.logprobs_R, before.logprobs_R[rows])
