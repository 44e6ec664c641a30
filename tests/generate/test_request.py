"""What may be asked of the engine, and what is refused, each with one sentence."""

from __future__ import annotations

import math

import pytest

from glassmind.errors import UserError
from glassmind.generate.request import SamplingParams
from glassmind.runs.recipe import SamplingConfig

BAD: list[tuple[str, object]] = [
    ("samples", 0),
    ("samples", 10**9),
    ("best_of", -1),
    ("best_of", 2),  # fewer than samples
    ("best_of", 10**9),
    ("max_new_tokens", 0),
    ("temperature", -1.0),
    ("temperature", math.nan),
    ("temperature", math.inf),
    ("temperature", 1e-9),
    ("top_k", -1),
    ("top_p", 0.0),
    ("top_p", 1.5),
    ("top_p", math.nan),
    ("min_p", -0.1),
    ("min_p", 1.1),
    ("min_p", math.nan),
    ("repetition_penalty", 0.0),
    ("repetition_penalty", -1.0),
    ("repetition_penalty", math.inf),
    ("repetition_penalty", math.nan),
    ("presence_penalty", 2.1),
    ("presence_penalty", math.nan),
    ("frequency_penalty", -2.1),
    ("frequency_penalty", math.nan),
    ("logit_bias", ((3, 101.0),)),
    ("logit_bias", ((3, math.nan),)),
    ("logit_bias", ((3, -math.inf),)),
    ("logit_bias", ((3, 1.0), (3, 2.0))),
    ("logit_bias", tuple((i, 1.0) for i in range(1025))),
    ("stop_texts", "word"),
    ("stop_texts", ("",)),
    ("stop_texts", ("x" * 257,)),
    ("stop_texts", ("\ud800",)),
    ("stop_texts", tuple("abcdefghijklmnopq")),
    ("top_logprobs", -1),
    ("top_logprobs", 21),
]


@pytest.mark.parametrize(("field", "value"), BAD, ids=[f"{f}-{i}" for i, (f, _) in enumerate(BAD)])
def test_bad_parameters_are_refused_by_name(field: str, value: object) -> None:
    arguments = {"max_new_tokens": 5, "samples": 3} | {field: value}
    with pytest.raises(UserError, match=field) as refused:
        SamplingParams(**arguments)  # type: ignore[arg-type]
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 200


def test_the_extremes_of_every_range_are_accepted() -> None:
    SamplingParams(
        10**9,
        temperature=1e-4,
        top_k=10**30,
        top_p=1e-9,
        min_p=1.0,
        repetition_penalty=0.01,
        presence_penalty=-2,
        frequency_penalty=2,
        logit_bias=tuple((i, -100.0) for i in range(1024)),
        stop_texts=("x" * 256,) * 16,
        samples=1024,
        best_of=1024,
        seed=-(10**30),
        top_logprobs=20,
    )


def test_as_many_are_drawn_as_the_best_are_chosen_from() -> None:
    assert SamplingParams(1, samples=3).drawn_samples == 3
    assert SamplingParams(1, samples=3, best_of=8).drawn_samples == 8


def test_penalties_make_the_history_matter() -> None:
    assert not SamplingParams(1, min_p=0.5, logit_bias=((1, 2.0),)).penalised
    for name in ("repetition_penalty", "presence_penalty", "frequency_penalty"):
        assert SamplingParams(1, **{name: 1.5}).penalised  # type: ignore[arg-type]


def test_a_recipe_s_sampling_is_taken_whole() -> None:
    config = SamplingConfig(
        samples=5, temperature=0.7, top_k=9, top_p=0.8, max_new_tokens=33, max_rows=2
    )
    assert SamplingParams.of(config, seed=4, stop=frozenset({1})) == SamplingParams(
        33, temperature=0.7, top_k=9, top_p=0.8, samples=5, seed=4, stop=frozenset({1})
    )
    greedy = SamplingParams.of(config, seed=4, greedy=True)
    assert greedy == SamplingParams(33, temperature=0.0, seed=4)
