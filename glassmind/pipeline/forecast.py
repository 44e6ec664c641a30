"""An estimate of how long a ladder will take, made after its first training steps.

Nearly all costs of a ladder are proportional to numbers of tokens: those it trains on, which are
known from the recipe, and those it samples and scores, for which the recipe gives a bound. So one
measurement on this machine, the time of a training step, gives an estimate of the whole.
"""

from __future__ import annotations

import time

from glassmind.progress import Pace, Progress
from glassmind.runs.models import VERIFIER
from glassmind.runs.recipe import Recipe, TrainConfig

TRAINED = ("direct", "chain-of-thought", VERIFIER)
"""The stages that train, in order."""

SAMPLED = 0.45
"""The time of sampling or scoring a token, relative to training on one (the demo on two cores: 64
and 61 seconds for 24,000 chains each, while training took 0.144 milliseconds per token)."""

LENGTH = 0.5
"""The share of ``max_new_tokens`` that a chain uses (the demo: 40 of 80)."""

SECONDS = 3.0
"""For how long a stage is measured before the estimate is printed."""


def training_tokens(recipe: Recipe, stage: str) -> int:
    """Tokens that a stage trains on."""
    config = recipe.verifier.train if stage == VERIFIER else recipe.train
    return config.steps * step_tokens(config)


def step_tokens(config: TrainConfig) -> int:
    return config.batch_rows * config.row_tokens * config.accumulate


def sampled_tokens(recipe: Recipe) -> float:
    """Tokens that are sampled or scored: the chains that the verifier learns from, and for each
    test problem two greedy answers and the samples, which the verifier then scores."""
    problems, verifier = recipe.problems, recipe.verifier
    tests = problems.test + problems.longer + problems.reworded
    chains = verifier.problems * verifier.samples + tests * (2 + 2 * recipe.sampling.samples)
    return chains * LENGTH * recipe.sampling.max_new_tokens


def seconds_left(recipe: Recipe, stage: str, done: int, step_seconds: float) -> float:
    """Seconds until the end, after ``done`` steps of ``stage`` at the given time per step."""
    config = recipe.verifier.train if stage == VERIFIER else recipe.train
    tokens = -float(done * step_tokens(config))
    tokens += sum(training_tokens(recipe, name) for name in TRAINED[TRAINED.index(stage) :])
    tokens += SAMPLED * sampled_tokens(recipe)
    return tokens * step_seconds / step_tokens(config)


class Forecast:
    """A ``Progress`` that passes all reports on to another, and once reports to it how long the
    rest of the ladder will take."""

    def __init__(self, inner: Progress, recipe: Recipe) -> None:
        self.inner, self.recipe = inner, recipe
        self._pace: Pace | None = None
        self._stage, self._total, self._began = "", 0, 0.0
        self._told = False

    def start(self, stage: str, total: int, unit: str = "steps") -> None:
        self.inner.start(stage, total, unit)
        self._stage, self._total, self._began = stage, total, time.monotonic()
        self._pace = None if self._told or stage not in TRAINED else Pace()

    def update(self, done: int, **figures: float) -> None:
        if self._pace is not None:
            now = time.monotonic()
            self._pace.report(now, done)
            rate = self._pace.rate()
            if rate is not None and now - self._began >= SECONDS:
                self._told, self._pace = True, None
                seconds = seconds_left(self.recipe, self._stage, done, 1 / rate)
                self.inner.end(f"At this pace everything takes about {_minutes(seconds)} more")
                self.inner.start(self._stage, self._total)
        self.inner.update(done, **figures)

    def end(self, summary: str = "") -> None:
        self._pace = None
        self.inner.end(summary)


def _minutes(seconds: float) -> str:
    minutes = max(1, round(seconds / 60))
    if minutes >= 120:
        return f"{seconds / 3600:.1f} hours"
    return "a minute" if minutes == 1 else f"{minutes} minutes"
