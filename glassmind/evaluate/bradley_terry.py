"""Scores from pairwise votes: the Bradley–Terry model.

    P(i beats j) = s_i / (s_i + s_j)

(Bradley and Terry 1952, Biometrika 39:324). The strengths s are those that make the votes most
likely, found by the iteration of Hunter (2004, Annals of Statistics 32:384):

    s_i <- wins_i / sum over j of games_ij / (s_i + s_j)

A tie is half a win for both. Without a prior a player who never won would have strength 0, so every
pair has played one tie before. Scores are natural logs of strengths with mean 0; a difference of d
means a chance of 1 / (1 + exp(-d)) to win. Intervals are percentiles of the bootstrap over
questions: the votes on one question stay together.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

_MOST_ITERATIONS = 500
_CLOSE = 1e-6
RESAMPLES = 1_000


@dataclass(frozen=True, slots=True)
class Vote:
    """The result of one comparison on ``question``: ``points`` for ``first``, 1 if it was better,
    0 if ``second`` was, 0.5 for a tie."""

    question: str
    first: int
    second: int
    points: float


@dataclass(frozen=True, slots=True)
class Score:
    """A player's score (natural log of the strength) with a 95 % interval, and its share of
    points."""

    score: float
    low: float
    high: float
    points: float


def bradley_terry(votes: Sequence[Vote], players: int) -> list[float]:
    """The scores of players 0, 1, ..., with mean 0."""
    return _fitted([_Tally.of(votes, players)], players)


@dataclass(frozen=True, slots=True)
class _Tally:
    """Points of each player, and the number of games of each pair, as lists of players."""

    points: list[float]
    games: list[list[float]]

    @classmethod
    def of(cls, votes: Sequence[Vote], players: int) -> _Tally:
        points = [0.0] * players
        games = [[0.0] * players for _ in range(players)]
        for vote in votes:
            points[vote.first] += vote.points
            points[vote.second] += 1 - vote.points
            games[vote.first][vote.second] += 1
            games[vote.second][vote.first] += 1
        return cls(points, games)


def _fitted(tallies: Sequence[_Tally], players: int) -> list[float]:
    """The scores for all tallies together, and one tie of every pair."""
    everybody = range(players)
    points = [0.5 * (players - 1) + math.fsum(t.points[i] for t in tallies) for i in everybody]
    games = [[(i != j) + sum(t.games[i][j] for t in tallies) for j in everybody] for i in everybody]
    strengths = [1.0] * players
    for _ in range(_MOST_ITERATIONS):
        new = [
            points[i]
            / sum(games[i][j] / (strengths[i] + strengths[j]) for j in everybody if j != i)
            for i in everybody
        ]
        scale = math.exp(sum(map(math.log, new)) / players)
        new = [strength / scale for strength in new]
        moved = max(abs(math.log(a / b)) for a, b in zip(new, strengths, strict=True))
        strengths = new
        if moved < _CLOSE:
            break
    return [math.log(strength) for strength in strengths]


def scores(votes: Sequence[Vote], players: int, seed: int = 0) -> list[Score]:
    """The scores with bootstrap intervals.

    Raises:
        ValueError: there are fewer than two players, or no votes.
    """
    if players < 2 or not votes:
        raise ValueError("scores need two players and a vote")
    by_question: dict[str, list[Vote]] = {}
    for vote in votes:
        by_question.setdefault(vote.question, []).append(vote)
    rng = random.Random(seed)
    tallies = [_Tally.of(group, players) for group in by_question.values()]
    resampled = [_fitted(rng.choices(tallies, k=len(tallies)), players) for _ in range(RESAMPLES)]
    columns = [sorted(column) for column in zip(*resampled, strict=True)]
    found = []
    for player, score in enumerate(_fitted(tallies, players)):
        own = [v.points if v.first == player else 1 - v.points
               for v in votes if player in (v.first, v.second)]  # fmt: skip
        share = math.fsum(own) / len(own) if own else 0.5
        column = columns[player]
        low, high = column[int(0.025 * RESAMPLES)], column[int(0.975 * RESAMPLES) - 1]
        found.append(Score(score, low, high, share))
    return found
