"""Confidence: the calibrated probability that an answer is right.

The share of votes is not such a probability: asked an unfamiliar question, a model may make the
same mistake in sixteen chains of sixteen, and a verifier trained on one kind of question is as sure
about another. So several kinds of evidence are combined, some of them from outside the model
(``Evidence``). Their weights are learned on questions with known answers by a logistic regression
over five numbers, which is Platt scaling (Platt 1999) with more than one input. The parameters are
in the model's folder as ``confidence.json``, with the data they were fitted on.
``benchmarks/confidence.py`` fits them, and measures them on questions unlike those.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from glassmind.grade.chain_checks import check_chain, unused_numbers
from glassmind.reason.vote import answer_keys, tally, verifier_weights
from glassmind.records import Completion
from glassmind.serialization import read_record, write_record

FILE = "confidence.json"
FORMAT = 1

UNSOUND_LIMIT = 0.5
"""The highest confidence of an answer whose own chain fails a check."""

_CLIP = 0.01
_RIDGE = 0.5  # a weak prior on small weights, which would diverge on a separable set


@dataclass(frozen=True, slots=True)
class Evidence:
    """The evidence for an answer, all of which is known without the reference answer.

    ``agreement`` is the log-odds of its share of the verifier's vote, ``belief`` the log-odds of
    the mean of the verifier's scores of all chains, clipped to [0.01, 0.99]. ``strangeness`` is the
    share of the question's pairs of words that never occurred in training, ``unused`` the share of
    its numbers that the chosen chain does not compute with, and ``unsound`` the share of the chains
    for the answer that fail a check (``grade.chain_checks``). ``chosen_unsound`` says whether the
    chosen chain fails one; it has no weight, but limits the confidence.
    """

    agreement: float
    belief: float
    strangeness: float
    unused: float
    unsound: float
    chosen_unsound: bool = False

    def numbers(self) -> tuple[float, ...]:
        """The numbers that have weights, in the order of ``Weights``."""
        return self.agreement, self.belief, self.strangeness, self.unused, self.unsound


@dataclass(frozen=True, slots=True)
class Weights:
    """How much one unit of each kind of evidence adds to the log-odds."""

    agreement: float
    belief: float
    strangeness: float
    unused: float
    unsound: float


@dataclass(frozen=True, slots=True)
class FittedOn:
    """A source of questions that a calibration was fitted on, with the number of questions and of
    right answers."""

    source: str
    n: int
    correct: int


@dataclass(frozen=True, slots=True)
class Calibration:
    """``confidence.json``: the parameters, and where they come from."""

    format: int
    intercept: float
    weights: Weights
    fitted_on: tuple[FittedOn, ...] = ()
    about: str = ""

    def confidence(self, evidence: Evidence) -> float:
        """The probability, in (0, 1), that the answer is right."""
        terms = zip(asdict(self.weights).values(), evidence.numbers(), strict=True)
        logit = self.intercept + math.fsum(weight * number for weight, number in terms)
        p = 1 / (1 + math.exp(-max(-30.0, min(30.0, logit))))
        return min(p, UNSOUND_LIMIT) if evidence.chosen_unsound else p


def gather(
    question: str,
    chains: Sequence[Completion],
    answer: str | None,
    chosen: Completion | None,
    strangeness: float | None,
) -> Evidence | None:
    """The evidence for ``answer``; ``None`` if there is no answer, a chain has no score, or the
    strangeness of the question is not known."""
    if answer is None or chosen is None or strangeness is None:
        return None
    scores = [chain.score for chain in chains if chain.score is not None]
    if len(scores) < len(chains):
        return None
    weights = tally(chains, verifier_weights(chains))
    keys = answer_keys(chains)
    giving = [chain for chain, key in zip(chains, keys, strict=True) if key == answer] or [chosen]
    unsound = [not check_chain(c.steps, c.answer, question).sound for c in giving]
    numbers = len(unused_numbers(question, ()))
    unused = len(unused_numbers(question, chosen.steps)) / numbers if numbers else 0.0
    return Evidence(
        agreement=_log_odds(weights.get(answer, 0.0) / sum(weights.values())),
        belief=_log_odds(math.fsum(scores) / len(scores)),
        strangeness=strangeness,
        unused=unused,
        unsound=sum(unsound) / len(unsound),
        chosen_unsound=not check_chain(chosen.steps, chosen.answer, question).sound,
    )


def _log_odds(p: float) -> float:
    p = min(1 - _CLIP, max(_CLIP, p))
    return math.log(p / (1 - p))


def fit(
    evidence: Sequence[Evidence],
    right: Sequence[bool],
    *,
    fitted_on: Sequence[FittedOn] = (),
    about: str = "",
) -> Calibration:
    """Fit a calibration to answers that are known to be right or wrong, by Newton's method for
    logistic regression with a weak ridge penalty on the weights.

    Raises:
        ValueError: the answers were all right or all wrong, so that nothing can be learned.
    """
    if len(set(right)) < 2:
        raise ValueError("right and wrong answers are needed to fit a calibration")
    inputs = np.array([(1.0, *found.numbers()) for found in evidence])
    y = np.array(right, dtype=float)
    ridge = np.diag([0.0, *([_RIDGE] * (inputs.shape[1] - 1))])
    parameters = np.zeros(inputs.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-inputs @ parameters))
        gradient = inputs.T @ (p - y) + ridge @ parameters
        curvature = (inputs * (p * (1 - p))[:, None]).T @ inputs + ridge
        step = np.linalg.solve(curvature, gradient)
        parameters -= step
        if np.abs(step).max() < 1e-10:
            break
    intercept, *weights = (round(float(value), 4) for value in parameters)
    return Calibration(FORMAT, intercept, Weights(*weights), tuple(fitted_on), about)


def save_calibration(folder: Path, calibration: Calibration) -> None:
    """Write a calibration into a run's folder."""
    write_record(folder / FILE, calibration)


def load_calibration(folder: Path) -> Calibration | None:
    """The calibration in a run's folder; ``None`` if it has none.

    Raises:
        UserError: the file is damaged, or of another version.
    """
    path = folder / FILE
    return read_record(Calibration, path) if path.is_file() else None
