"""A reward model against Bradley and Terry's formula, and the figures about it by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from glassmind.data.batches.packing import PackedRows, pack
from glassmind.data.preferences.documents import EncodedPreference, preference_document
from glassmind.model import AttentionConfig, ModelConfig, TokenScorer, Transformer
from glassmind.pipeline.preferences.reward_results import length_bias, result_of_scores, summary
from glassmind.train import to_batch
from glassmind.train.objectives.reward_model import BradleyTerry, paired_scores

VOCAB = 23
CPU = torch.device("cpu")
PAIRS = [
    EncodedPreference((1, 2, 3), (4, 5), (6,)),
    EncodedPreference((7, 8), (9,), (10, 11, 12)),
    EncodedPreference((13,), (14, 15, 16), (17, 18, 19)),
]


@pytest.fixture(scope="module")
def scorer() -> TokenScorer:
    attention = AttentionConfig(n_heads=2)
    config = ModelConfig(VOCAB, max_tokens=64, d_model=16, n_layers=1, attention=attention)
    generator = torch.Generator().manual_seed(4)
    made = TokenScorer(Transformer(config), 1)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.normal_(std=0.3, generator=generator)
    return made


@pytest.fixture(scope="module")
def rows() -> PackedRows:
    return pack([preference_document(pair) for pair in PAIRS], 16, pad_id=0)


def alone(scorer: TokenScorer, prompt: Sequence[int], answer: Sequence[int]) -> Tensor:
    """The score at the last token of one answer, in a row of its own."""
    ids = torch.tensor([[*prompt, *answer]])
    places = torch.arange(ids.shape[1])[None]
    scores, _ = scorer(ids, positions_BT=places, previous_BT=(places - 1).clamp(min=0), mask=None)
    last: Tensor = scores[0, -1]
    return last


def test_the_loss_and_its_gradient_are_bradley_and_terry_s(
    scorer: TokenScorer, rows: PackedRows
) -> None:
    objective = BradleyTerry(scorer, centre=0.05)
    batch = to_batch(rows, CPU)
    assert objective.weight(batch) == 3
    loss, figures = objective.loss(batch)
    terms, right = [], 0
    for pair in PAIRS:
        w, b = alone(scorer, pair.prompt, pair.chosen), alone(scorer, pair.prompt, pair.rejected)
        terms.append(-(1 / (1 + (b - w).exp())).log() + 0.05 * (w + b) ** 2)
        right += bool(w > b)
    expected = torch.stack(terms).mean()
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), abs=1e-6)
    assert float(figures["accuracy"]) == pytest.approx(right / 3)
    trained = [p for p in scorer.parameters() if p.requires_grad]
    found, wanted = (
        torch.autograd.grad(value, trained, allow_unused=True) for value in (loss, expected)
    )
    for ours, theirs in zip(found, wanted, strict=True):
        assert (ours is None) == (theirs is None)
        if ours is not None:
            torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-4)


def test_only_the_head_may_learn(scorer: TokenScorer, rows: PackedRows) -> None:
    BradleyTerry(scorer, train_trunk=False)
    assert not any(p.requires_grad for p in scorer.trunk.parameters())
    assert scorer.score.weight.requires_grad
    BradleyTerry(scorer)
    assert scorer.trunk.blocks[0].attention is not None
    assert any(p.requires_grad for p in scorer.trunk.blocks.parameters())


def test_scores_do_not_depend_on_neighbours(scorer: TokenScorer, rows: PackedRows) -> None:
    chosen, rejected, longer, shorter = paired_scores(scorer, rows, CPU)
    found = {(round(a, 5), round(b, 5)) for a, b in zip(chosen, rejected, strict=True)}
    with torch.no_grad():
        wanted = {
            tuple(round(float(alone(scorer, p.prompt, ids)), 5) for ids in (p.chosen, p.rejected))
            for p in PAIRS
        }
    for a, b in zip(sorted(found), sorted(wanted), strict=True):
        assert a == pytest.approx(b, abs=3e-5)
    assert sorted(zip(longer, shorter, strict=True)) == [(1, 3), (2, 1), (3, 3)]


def test_figures_about_a_reward_model() -> None:
    chosen = np.array([2.0, 0.0, 1.0, -1.0])
    rejected = np.array([0.0, 1.0, 1.0, -3.0])
    found = result_of_scores(chosen, rejected, np.array([5, 3, 4, 2]), np.array([4, 3, 6, 3]))
    assert (found.accuracy.right, found.n) == (2, 4)  # equal scores prefer neither
    sigmoid = [1 / (1 + math.exp(-d)) for d in (2.0, -1.0, 0.0, 2.0)]
    assert found.brier == pytest.approx(sum((1 - p) ** 2 for p in sigmoid) / 4)
    assert found.longer is not None and (found.longer.right, found.longer.n) == (1, 1)
    assert found.shorter is not None and (found.shorter.right, found.shorter.n) == (1, 2)
    assert found.equal is not None and (found.equal.right, found.equal.n) == (0, 1)
    # Differences of score 2, -1, 0, 2 and of length 1, 0, -2, -1.
    assert found.length_correlation == pytest.approx(0 / 1)
    assert [(one.n, one.correct) for one in found.bins] == [(1, 0), (1, 0), (2, 2)]
    assert found.calibration_error == pytest.approx(
        (0.5 + sigmoid[0] - sigmoid[0] + (1 - sigmoid[1]) + 2 * (1 - sigmoid[0])) / 4
    )
    assert "Brier's score" in summary(found)
    assert length_bias(found) is None  # two pairs support nothing


def test_a_model_that_counts_tokens_is_told_on() -> None:
    rng = np.random.default_rng(0)
    chosen_tokens, rejected_tokens = rng.integers(1, 50, (2, 200))
    found = result_of_scores(
        chosen_tokens * 0.1, rejected_tokens * 0.1, chosen_tokens, rejected_tokens
    )
    assert found.length_correlation == pytest.approx(1.0)
    assert found.longer is not None and found.longer.share == 1.0
    assert "It prefers longer answers" in str(length_bias(found))
    same = np.ones(3)
    assert result_of_scores(same, same, same, same).length_correlation is None
