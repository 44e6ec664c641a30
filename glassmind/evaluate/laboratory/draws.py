"""Sets of samples: all that can be drawn, with their probabilities, or many random ones.

A *draw* is what one step of training would sample: a group of G completions of each question. None
of the estimators depends on the order inside a group, so groups are counted as multisets: 120 pairs
instead of 225, each with the number of its orders.

If an estimator treats every question by itself, its expectation is a mean over questions, and it is
enough to draw the groups of each question alone. Estimators that look at the whole batch need the
groups of both questions together, and there are too many of these for groups of more than two.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations_with_replacement
from math import comb

import numpy as np
from numpy.typing import NDArray

MOST_DRAWS = 60_000
"""More draws than this are not enumerated."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Draws:
    """``members_DQG`` are numbers of completions; ``probability_D`` sums to 1.

    ``exact`` says that these are all there are; otherwise they are random ones, equally likely.
    """

    members_DQG: NDArray[np.int64]
    probability_D: Floats
    exact: bool


def draws(
    choices_QC: NDArray[np.int64],
    probability_QC: Floats,
    group: int,
    samples: int,
    generator: np.random.Generator,
) -> Draws:
    """All draws of a group of each of the Q questions, or ``samples`` random ones.

    ``choices_QC`` are the numbers of the questions' completions, ``probability_QC`` what the
    sampler gives each.
    """
    questions, completions = probability_QC.shape
    per_question = comb(completions + group - 1, group)
    if per_question**questions > MOST_DRAWS:
        each = [
            choices_QC[q][generator.choice(completions, (samples, group), p=probability_QC[q])]
            for q in range(questions)
        ]
        return Draws(np.stack(each, 1), np.full(samples, 1 / samples), exact=False)
    groups_UG = np.array(list(combinations_with_replacement(range(completions), group)))
    orders_U = _orders(groups_UG, completions)
    members = np.zeros((1, 0, group), np.int64)
    probability = np.ones(1)
    for q in range(questions):
        own_U = orders_U * probability_QC[q][groups_UG].prod(1)
        kept_U = own_U > 0  # the sampler may leave completions out
        own, groups = own_U[kept_U], choices_QC[q][groups_UG[kept_U]]
        members = np.concatenate(
            [
                np.repeat(members, len(groups), 0),
                np.tile(groups[:, None, :], (len(members), 1, 1)),
            ],
            axis=1,
        )
        probability = np.repeat(probability, len(own)) * np.tile(own, len(probability))
    return Draws(members, probability, exact=True)


def _orders(groups_UG: NDArray[np.int64], completions: int) -> Floats:
    """The number of orders in which each multiset can be drawn: G! / Π (copies of each)!."""
    factorial = np.cumprod([1.0, *range(1, groups_UG.shape[1] + 1)])
    copies_UC = np.stack([np.bincount(group, minlength=completions) for group in groups_UG])
    orders: Floats = factorial[-1] / factorial[copies_UC].prod(1)
    return orders
