"""How likely an answer is right, in a number that has been checked.

The share of votes is no such number: a model asked something strange errs the same way sixteen
times of sixteen, and a verifier trained on one kind of question is as sure of another. What helps
is to look at several things at once, some of them from outside the model (``Evidence``), and to
learn on questions with known answers how much each is worth: a logistic regression over five
numbers, which is Platt's scaling (Platt 1999) with more than one input. Its parameters lie in the
model's folder as ``confidence.json``, with what they were fitted on; ``benchmarks/confidence.py``
fits them, and measures them on questions unlike those.
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
"""An answer whose own chain fails a check is never given more than this."""

_CLIP = 0.01
_RIDGE = 0.5  # a weak prior on small weights: a separable set must not send them to infinity


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of an answer without knowing whether it is right.

    ``agreement`` is the log-odds of its share of the verifier's vote, ``belief`` those of the mean
    of the verifier's scores of all chains, clipped to [0.01, 0.99]. ``strangeness`` is the share of
    the question's pairs of words that training never had, ``unused`` the share of its numbers that
    the chosen chain does not compute with, and ``unsound`` the share of the chains for the answer
    that fail a check (``grade.chain_checks``). ``chosen_unsound`` says whether the chosen one does;
    it is not weighed, but limits what is said.
    """

    agreement: float
    belief: float
    strangeness: float
    unused: float
    unsound: float
    chosen_unsound: bool = False

    def numbers(self) -> tuple[float, ...]:
        """Those that are weighed, in the order of ``Weights``."""
        return self.agreement, self.belief, self.strangeness, self.unused, self.unsound


@dataclass(frozen=True, slots=True)
class Weights:
    """What a unit of each kind of evidence adds to the log-odds."""

    agreement: float
    belief: float
    strangeness: float
    unused: float
    unsound: float


@dataclass(frozen=True, slots=True)
class FittedOn:
    """A source of the questions that a calibration was fitted on: how many, how many right."""

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
    """The evidence for ``answer``; ``None`` where there is no answer, a chain has no score, or it
    is not known how strange the question is."""
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
    """The calibration under which these answers are likeliest to have been right where they were:
    Newton's method for logistic regression, with a weak ridge on the weights.

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
    """Write it into a run's folder."""
    write_record(folder / FILE, calibration)


def load_calibration(folder: Path) -> Calibration | None:
    """That of a run's folder; ``None`` where it has none.

    Raises:
        UserError: the file is damaged, or of another version.
    """
    path = folder / FILE
    return read_record(Calibration, path) if path.is_file() else None
