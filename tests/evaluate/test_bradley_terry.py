"""Scores from votes."""

from __future__ import annotations

import math
import random

import pytest

from glassmind.evaluate import bradley_terry as module
from glassmind.evaluate.bradley_terry import Vote, bradley_terry, scores


def test_two_players_in_closed_form() -> None:
    votes = [Vote(f"q{n}", 0, 1, points) for n, points in enumerate([1] * 6 + [0] * 2 + [0.5] * 2)]
    first, second = bradley_terry(votes, 2)
    # 7 points of 10, and the tie of the prior: 7.5 to 3.5
    assert first - second == pytest.approx(math.log(7.5 / 3.5), abs=1e-4)
    assert first == pytest.approx(-second)


def test_strengths_are_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RESAMPLES", 40)
    rng, true = random.Random(1), [0.8, 0.0, -0.8]
    votes = []
    for number in range(150):
        for a, b in ((0, 1), (1, 2), (2, 0)):
            wins = rng.random() < 1 / (1 + math.exp(true[b] - true[a]))
            votes.append(Vote(f"q{number}", a, b, float(wins)))
    found = scores(votes, 3)
    for one, score in zip(found, true, strict=True):
        assert one.low < one.score < one.high and abs(one.score - score) < 0.4
    assert sum(one.score for one in found) == pytest.approx(0)
    assert found == scores(votes, 3)
    swapped = [Vote(v.question, v.second, v.first, 1 - v.points) for v in votes]
    assert bradley_terry(swapped, 3) == pytest.approx(bradley_terry(votes, 3), abs=1e-4)


def test_a_player_who_never_won_has_a_score() -> None:
    assert all(map(math.isfinite, bradley_terry([Vote("q", 0, 1, 1.0)] * 50, 2)))
    with pytest.raises(ValueError, match="two players"):
        scores([], 2)
