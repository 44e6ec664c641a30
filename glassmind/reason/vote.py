"""Many samples, one answer: voting and choosing.

Self-consistency (Wang et al. 2022, arXiv 2203.11171) lets the samples vote: wrong chains have many
different answers, right ones agree. Votes can have weights; taking the single best sample is
best-of-n (Cobbe et al. 2021, 2110.14168).

Candidates are classes of equal answers (``grade.classes``): ``18``, ``$18`` and ``18.00`` are one,
and so are ``x^2-1`` and ``(x-1)(x+1)``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

from glassmind.grade import group_answers
from glassmind.grade.arithmetic import read_equations
from glassmind.records import Completion

# The verifier's errors on chains of one problem are correlated, so their odds must not be
# multiplied at full strength. Of 0.3, 0.5, 0.7, 1 and 2, those from 0.5 to 1 did best on validation
# problems, within noise of each other.
SHARPNESS = 0.7


def answer_keys(completions: Sequence[Completion]) -> list[str | None]:
    """For each completion the spelling that represents its class of equal answers, the canonical
    one for a number; ``None`` if it gave no answer."""
    return group_answers([completion.answer for completion in completions])


def answer_key(completion: Completion) -> str | None:
    """The completion's answer, a number in canonical form; ``None`` if it gave none."""
    return answer_keys([completion])[0]


def tally(
    completions: Sequence[Completion], weights: Sequence[float] | None = None
) -> dict[str, float]:
    """Candidate answer -> sum of its votes' weights (1 each unless given), heaviest first.

    Ties are broken by the earlier sample. Samples without an answer do not vote.
    """
    votes: dict[str, float] = {}
    for number, key in enumerate(answer_keys(completions)):
        if key is not None:
            votes[key] = votes.get(key, 0.0) + (1.0 if weights is None else weights[number])
    return dict(sorted(votes.items(), key=lambda item: -item[1]))


def vote(completions: Sequence[Completion], weights: Sequence[float] | None = None) -> str | None:
    """The heaviest answer, or ``None`` if no sample gave one."""
    return next(iter(tally(completions, weights)), None)


def best_of(completions: Sequence[Completion], scores: Sequence[float]) -> int | None:
    """The number of the single highest-scored sample that gave an answer, the earlier of equals."""
    answered = [n for n, key in enumerate(answer_keys(completions)) if key is not None]
    return max(answered, key=lambda n: (scores[n], -n), default=None)


def heaviest(
    completions: Sequence[Completion], answer: str | None, weights: Sequence[float]
) -> int | None:
    """The number of the heaviest sample that gave ``answer``, of equals the likeliest under the
    model; ``None`` if none did. A chain that a tool corrected comes after those of the model
    alone, since it is not known how likely it is."""
    keys = answer_keys(completions)
    giving = [n for n, key in enumerate(keys) if key is not None and key == answer]

    def rank(n: int) -> tuple[float, bool, float, int]:
        chain = completions[n]
        known = len(chain.logprobs) == len(chain.token_ids)
        return weights[n], known, chain.logprob, -n

    return max(giving, key=rank, default=None)


def logprob_weights(completions: Sequence[Completion]) -> list[float]:
    """Each sample's probability under the model, relative to the likeliest one: in (0, 1]."""
    top = max(c.logprob for c in completions)
    return [math.exp(c.logprob - top) for c in completions]


def equation_weights(completions: Sequence[Completion]) -> list[float]:
    """0 for each sample with a false equation in its steps, and 1 for the others.

    Equations are checked by exact arithmetic (``grade.arithmetic``). If every sample has a false
    one, the check says nothing about which to prefer, and all weights are 1.
    """
    weights = [
        0.0 if any(has_false_equation(step) for step in completion.steps) else 1.0
        for completion in completions
    ]
    return weights if any(weights) else [1.0] * len(weights)


@lru_cache(maxsize=100_000)
def has_false_equation(step: str) -> bool:
    """Whether an equation in ``step`` that can be read does not hold."""
    return any(not equation.holds for equation in read_equations(step))


def score_weights(completions: Sequence[Completion]) -> list[float]:
    """The verifier's score of each sample.

    Raises:
        ValueError: a completion has not been scored.
    """
    scores = []
    for completion in completions:
        if completion.score is None:
            raise ValueError(f"completion {completion.sample} of {completion.problem_id}: no score")
        scores.append(completion.score)
    return scores


def verifier_weights(
    completions: Sequence[Completion], sharpness: float = SHARPNESS
) -> list[float]:
    """The verifier's odds p/(1-p) of each sample to the power ``sharpness``.

    With calibrated and independent scores, odds would be the right weights (naive Bayes).
    Probabilities are clipped to [0.001, 0.999].

    Raises:
        ValueError: a completion has not been scored.
    """
    clipped = [min(0.999, max(0.001, score)) for score in score_weights(completions)]
    return [(p / (1 - p)) ** sharpness for p in clipped]
