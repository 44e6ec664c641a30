"""What more thinking buys: accuracy against tokens, for every method and number of samples.

A point is the mean over problems of the share of orders of the chains in which the method was
right (``reason.reordering``), with an interval over problems. A paired test compares methods at the
same number of tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from glassmind.evaluate.columns import Column
from glassmind.evaluate.ladder.names import title
from glassmind.evaluate.wording import count, interval, p_value, percent, points
from glassmind.records import Verdict
from glassmind.statistics import mcnemar_exact, mean_and_interval, paired_counts, wilson_interval

SCHEMA = 1
FILE = "frontier.json"

COLUMNS = (
    Column("method", left=True),
    Column("samples"),
    Column("accuracy"),
    Column("95 % interval", rank=1),
    Column("tokens"),
    Column("judged", rank=2),
    Column("seconds", rank=3),
)
EQUAL_COLUMNS = (
    Column("tokens"),
    Column("method", left=True),
    Column("accuracy"),
    Column("against", left=True, rank=2),
    Column("its accuracy"),
    Column("points", rank=1),
    Column("gained", rank=3),
    Column("lost", rank=3),
    Column("p"),
)


@dataclass(frozen=True, slots=True)
class FrontierPoint:
    """A method with up to ``samples`` chains: its accuracy with a 95 % interval, and its cost for a
    problem in the mean. ``tokens`` are those written and those judged, ``judged_tokens`` the latter
    alone."""

    method: str
    samples: int
    accuracy: float
    ci_low: float
    ci_high: float
    tokens: float
    judged_tokens: float
    seconds: float


@dataclass(frozen=True, slots=True)
class EqualTokens:
    """Two methods with the same limit on the tokens of every problem: McNemar's exact test."""

    method: str
    against: str
    tokens: int
    correct: int
    against_correct: int
    gained: int
    lost: int
    p_value: float


@dataclass(frozen=True, slots=True)
class Frontier:
    """``frontier.json``: ``n`` problems, ``samples`` chains of each, read in ``orders`` orders."""

    schema: int
    model: str
    task: str
    n: int
    samples: int
    orders: int
    seed: int
    points: tuple[FrontierPoint, ...]
    equal: tuple[EqualTokens, ...] = ()

    def of(self, method: str) -> list[FrontierPoint]:
        """The points of a method, cheapest first."""
        return sorted((p for p in self.points if p.method == method), key=lambda p: p.tokens)

    @property
    def methods(self) -> list[str]:
        """The methods, in the order of the points."""
        return list(dict.fromkeys(point.method for point in self.points))


def frontier_point(method: str, samples: int, runs: Sequence[Sequence[Verdict]]) -> FrontierPoint:
    """One point from the verdicts of each order of the chains."""
    by_problem = zip(*runs, strict=True)
    shares = [sum(verdict.correct for verdict in found) / len(runs) for found in by_problem]
    spent = [verdict.cost for run in runs for verdict in run]
    low, high = accuracy_interval(shares)
    judged = sum(cost.judged_tokens for cost in spent) / len(spent)
    return FrontierPoint(
        method,
        samples,
        sum(shares) / len(shares),
        low,
        high,
        judged + sum(cost.completion_tokens for cost in spent) / len(spent),
        judged,
        sum(cost.seconds for cost in spent) / len(spent),
    )


def accuracy_interval(shares: Sequence[float]) -> tuple[float, float]:
    """A 95 % interval of the mean of ``shares``, one for each problem, in [0, 1].

    Wilson's if every problem is right or wrong, else Student's over problems.
    """
    if len(shares) < 2 or all(share in (0, 1) for share in shares):
        return wilson_interval(round(sum(shares)), len(shares))
    _, low, high = mean_and_interval(shares)
    return max(0.0, low), min(1.0, high)


def equal_tokens(
    method: str,
    against: str,
    tokens: int,
    own: Sequence[Verdict],
    others: Sequence[Verdict],
) -> EqualTokens:
    """The paired test of two methods on the same problems."""
    mine, theirs = [v.correct for v in own], [v.correct for v in others]
    gained, lost = paired_counts(theirs, mine)
    p = mcnemar_exact(gained, lost)
    return EqualTokens(method, against, tokens, sum(mine), sum(theirs), gained, lost, p)


def table_rows(frontier: Frontier) -> list[tuple[str, ...]]:
    """A row for each point, under ``COLUMNS``."""
    return [
        (
            title(point.method),
            f"{point.samples:,}",
            percent(point.accuracy),
            interval(point.ci_low, point.ci_high),
            count(point.tokens),
            count(point.judged_tokens),
            f"{point.seconds:,.3f}",
        )
        for point in frontier.points
    ]


def equal_rows(frontier: Frontier) -> list[tuple[str, ...]]:
    """A row for each paired test, under ``EQUAL_COLUMNS``."""
    n = frontier.n
    return [
        (
            f"{test.tokens:,}",
            title(test.method),
            percent(test.correct / n),
            title(test.against),
            percent(test.against_correct / n),
            points((test.correct - test.against_correct) / n),
            f"{test.gained:,}",
            f"{test.lost:,}",
            p_value(test.p_value),
        )
        for test in frontier.equal
    ]
