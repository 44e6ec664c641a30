"""Rows drawn in compiled code, against ``Sampler`` and the formula in float64."""

from __future__ import annotations

import math
from itertools import product

import pytest
import torch

from glassmind.generate import Sampler, SamplingParams
from glassmind.generate.packed.native_calls import calls
from glassmind.generate.sampling.plain_rows import all_finite, draw_plain, is_plain

SETTINGS = [
    dict(zip(("temperature", "top_k", "top_p", "min_p"), values, strict=True))
    for values in product((0.0, 0.6, 1.0, 1.7), (0, 1, 9, 10_000), (1.0, 0.9, 0.05), (0.0, 0.1))
]


def rows_of() -> list[tuple[SamplingParams, int]]:
    """One row of each setting."""
    return [
        (SamplingParams(9, seed=seed, **one), seed % 3)  # type: ignore[arg-type]
        for seed, one in enumerate(SETTINGS)
    ]


@pytest.mark.parametrize("vocab", [1, 7, 97, 1000])
@pytest.mark.parametrize("spread", [0.5, 8.0])
def test_the_tokens_and_log_probabilities_of_the_sampler(vocab: int, spread: float) -> None:
    native = calls()
    if native is None:
        pytest.skip("there is no C++ compiler here")
    torch.manual_seed(vocab)
    rows = rows_of()
    params, numbers = [one for one, _ in rows], [number for _, number in rows]
    oracle = Sampler(params, numbers, torch.device("cpu"))
    for step in range(12):
        logits_RV = torch.randn(len(rows), vocab) * spread
        logits_RV[:, vocab // 2 :] = logits_RV[:, vocab // 2 :].round()  # some are equal
        ours = draw_plain(native, logits_RV, rows, [step] * len(rows))
        theirs = oracle.draw(logits_RV, step)
        assert ours["token"].tolist() == theirs.tokens_R.tolist()
        for name, expected_R in (
            ("logprob", theirs.logprobs_R),
            ("sampled_logprob", theirs.sampled_logprobs_R),
        ):
            torch.testing.assert_close(
                torch.from_numpy(ours[name].copy()), expected_R, rtol=1e-6, atol=3e-6
            )
        exact_R = logits_RV.double().log_softmax(1)[range(len(rows)), theirs.tokens_R]
        assert ours["logprob"].tolist() == pytest.approx(exact_R.tolist(), rel=1e-6, abs=5e-7)


def test_a_row_does_not_depend_on_the_batch() -> None:
    native = calls()
    if native is None:
        pytest.skip("there is no C++ compiler here")
    torch.manual_seed(3)
    rows = rows_of()
    logits_RV = torch.randn(len(rows), 97) * 3
    together = draw_plain(native, logits_RV, rows, [5] * len(rows))
    for at, row in enumerate(rows):
        assert draw_plain(native, logits_RV[at : at + 1], [row], [5])[0] == together[at]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_logits_that_are_no_numbers_are_noticed(value: float) -> None:
    native = calls()
    if native is None:
        pytest.skip("there is no C++ compiler here")
    rows = rows_of()
    for place in (0, 40, 96):
        logits_RV = torch.randn(len(rows), 97)
        assert all_finite(draw_plain(native, logits_RV, rows, [0] * len(rows)))
        logits_RV[7, place] = value
        drawn = draw_plain(native, logits_RV, rows, [0] * len(rows))
        assert [math.isfinite(x) for x in drawn["logprob"].tolist()] == [
            row != 7 for row in range(len(rows))
        ]


def test_what_is_not_plain() -> None:
    assert is_plain(SamplingParams(5, temperature=0.3, top_k=4, top_p=0.4, min_p=0.2))
    for other in (
        SamplingParams(5, top_logprobs=1),
        SamplingParams(5, logit_bias=((1, 2.0),)),
        SamplingParams(5, repetition_penalty=1.1),
        SamplingParams(5, presence_penalty=0.1),
        SamplingParams(5, frequency_penalty=0.1),
    ):
        assert not is_plain(other)
