"""Biases and penalties against plain loops over the formulas, and against ``transformers``."""

from __future__ import annotations

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from glassmind.generate.request import SamplingParams
from glassmind.generate.sampling.penalties import Biases, penalise

VOCAB = 12
ids = st.lists(st.integers(0, VOCAB - 1), max_size=10)
penalties = st.sampled_from([0.0, 0.0, -1.5, 0.25, 2.0])


@settings(max_examples=100)
@given(
    st.lists(
        st.tuples(st.sampled_from([1.0, 1.0, 0.5, 1.3]), penalties, penalties, ids, ids),
        min_size=1,
        max_size=5,
    ),
    st.integers(0, 1000),
)
def test_penalties_are_what_their_formulas_say(
    rows: list[tuple[float, float, float, list[int], list[int]]], seed: int
) -> None:
    logits = torch.randn(len(rows) + 1, VOCAB, generator=torch.Generator().manual_seed(seed)) * 3
    expected = logits.clone()
    params, histories = [], []
    for row, (repetition, presence, frequency, prompt, new) in enumerate(rows):
        for token in range(VOCAB):
            x = logits[row, token]
            if token in prompt or token in new:
                x = x / repetition if x > 0 else x * repetition
            count = new.count(token)
            expected[row, token] = x - frequency * count - presence * (count > 0)
        params.append(
            SamplingParams(
                1,
                repetition_penalty=repetition,
                presence_penalty=presence,
                frequency_penalty=frequency,
            )
        )
        histories.append((prompt, new))
    penalise(logits, range(len(rows)), params, histories)
    torch.testing.assert_close(logits, expected)  # the row beyond is untouched


@pytest.mark.parametrize("penalty", [0.5, 1.2, 3.0])
def test_repetition_is_penalised_as_transformers_does(penalty: float) -> None:
    torch.manual_seed(0)
    logits = torch.randn(4, 50) * 4
    tokens = torch.randint(50, (4, 30))
    processor = transformers.RepetitionPenaltyLogitsProcessor(penalty)
    expected = processor(tokens, logits.clone())
    params = [SamplingParams(1, repetition_penalty=penalty)] * 4
    penalise(logits, range(4), params, [(row[:20], row[20:]) for row in tokens.tolist()])
    torch.testing.assert_close(logits, expected, rtol=0, atol=0)


def test_biases_are_added_as_transformers_does() -> None:
    torch.manual_seed(0)
    logits = torch.randn(3, 50)
    bias = ((7, 2.5), (0, -100.0), (49, 100.0))
    processor = transformers.SequenceBiasLogitsProcessor([[[i], value] for i, value in bias])
    expected = logits.clone()
    expected[[0, 2]] = processor(torch.zeros(2, 1, dtype=torch.int64), logits[[0, 2]])
    biases = Biases([0, 2], [SamplingParams(1, logit_bias=bias)] * 2, torch.device("cpu"))
    biases.add_to(logits)
    torch.testing.assert_close(logits, expected, rtol=0, atol=0)
