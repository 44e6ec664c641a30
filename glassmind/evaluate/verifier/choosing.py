"""What a verifier is worth for choosing: accuracy and regret of each rule as n grows.

From N stored chains of a problem, n are taken at random, and each rule chooses among them. A rule's
*regret* is the share of problems in which some chain of the n was right and the rule's answer was
wrong. If a verifier has favourites among wrong chains, more chains mean more of these, and
best-of-n falls as n grows (over-optimisation: Cobbe et al. 2021, arXiv 2110.14168; Gao et al. 2022,
2210.10760).

For best-of-n and any-of-n the mean over all subsets of n is exact (sorted by score, the chain of
rank r is the best of a subset with probability C(N-1-r, n-1) / C(N, n); Chen et al. 2021,
2107.03374, for any-of-n). A vote has no such formula, so its mean is over ``DRAWS`` random subsets,
the same for every vote; n = N is exact.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from glassmind.evaluate.verifier.chains import ChainTable, Floats
from glassmind.reason.vote import SHARPNESS

DRAWS = 32
"""Random subsets of a problem's chains, for rules that vote."""

CEILING = "any of n"

Score = Callable[[ChainTable], Floats]


@dataclass(frozen=True, slots=True)
class Rule:
    """A way of choosing: the answer of the chain with the highest ``score``, or, if ``votes``, the
    answer whose chains have the largest sum of scores."""

    name: str
    score: Score
    votes: bool


def _steps(combine: Callable[[tuple[float, ...]], float]) -> Score:
    """A score from the scores of the steps; a chain without steps has 0."""
    return lambda table: np.array([combine(steps) if steps else 0.0 for steps in table.steps])


def _odds(table: ChainTable) -> Floats:
    p = np.clip(table.outcome, 0.001, 0.999)
    odds: Floats = (p / (1 - p)) ** SHARPNESS
    return odds


RULES = (
    Rule("majority", lambda table: np.ones(len(table)), votes=True),
    Rule("log-probability vote", lambda t: np.exp(t.logprob - t.logprob.max()), votes=True),
    Rule("verifier vote", _odds, votes=True),
    Rule("best by outcome", lambda table: table.outcome, votes=False),
    Rule("best by lowest step", _steps(min), votes=False),
    Rule("best by product of steps", _steps(math.prod), votes=False),
    Rule("best by last step", _steps(lambda steps: steps[-1]), votes=False),
)


@dataclass(frozen=True, slots=True)
class Choice:
    """A rule on ``n`` chains: ``per_problem`` has the probability that it is right on each problem,
    the mean over subsets."""

    rule: str
    n: int
    per_problem: tuple[float, ...]

    @property
    def accuracy(self) -> float:
        """The mean over problems."""
        return math.fsum(self.per_problem) / len(self.per_problem)


def choices(
    tables: Sequence[ChainTable],
    sizes: Sequence[int],
    *,
    rules: Sequence[Rule] = RULES,
    draws: int = DRAWS,
    seed: int = 0,
) -> list[Choice]:
    """Every rule, and the ceiling, at every n of ``sizes``.

    Raises:
        ValueError: there is no table, or a size is not from 1 to the number of chains.
    """
    if not tables:
        raise ValueError("there are no problems to choose on")
    smallest = min(len(table) for table in tables)
    if any(not 1 <= n <= smallest for n in sizes):
        raise ValueError(f"a number of chains must be from 1 to {smallest}")
    found = []
    for n in sizes:
        rng = np.random.default_rng((seed, n))
        subsets = [_subsets(rng, len(table), n, draws) for table in tables]
        for rule in rules:
            if rule.votes:
                right = [
                    _vote(table, rule.score(table), chosen)
                    for table, chosen in zip(tables, subsets, strict=True)
                ]
            else:
                right = [_best(table, rule.score(table), n) for table in tables]
            found.append(Choice(rule.name, n, tuple(right)))
        found.append(Choice(CEILING, n, tuple(_any(table, n) for table in tables)))
    return found


def gained(rule: Choice, base: Choice, ceiling: Choice) -> float | None:
    """The share of the distance from ``base`` to ``ceiling`` that a rule takes; ``None`` if there
    is no distance."""
    distance = ceiling.accuracy - base.accuracy
    return (rule.accuracy - base.accuracy) / distance if distance > 0 else None


def _subsets(
    rng: np.random.Generator, total: int, n: int, draws: int
) -> list[np.ndarray[tuple[int], np.dtype[np.int64]]]:
    if n == total:
        return [np.arange(total)]
    return [np.sort(rng.permutation(total)[:n]) for _ in range(draws)]


def _any(table: ChainTable, n: int) -> float:
    wrong = int((~table.right).sum())
    return 1 - math.comb(wrong, n) / math.comb(len(table), n)


def _best(table: ChainTable, score: Floats, n: int) -> float:
    """The probability that the best chain of a random subset is right; of equals the earlier."""
    total = len(table)
    order = sorted(range(total), key=lambda i: (not table.answered[i], -score[i], i))
    chances = [math.comb(total - 1 - rank, n - 1) for rank in range(total)]
    right = sum(c for c, i in zip(chances, order, strict=True) if table.right[i])
    return right / math.comb(total, n)


def _vote(
    table: ChainTable, weight: Floats, subsets: Sequence[np.ndarray[tuple[int], np.dtype[np.int64]]]
) -> float:
    right = 0
    for chosen in subsets:
        votes: dict[str, float] = {}
        truth: dict[str, bool] = {}
        for i in chosen:
            key = table.keys[i]
            if key is not None:
                votes[key] = votes.get(key, 0.0) + weight[i]
                truth[key] = bool(table.right[i])
        if votes:
            right += truth[max(votes, key=lambda key: votes[key])]
    return right / len(subsets)
