"""An estimate of how long training will take, made after its first steps.

A run of one model needs the rest of its steps, and a ladder much else. Nearly all costs of a ladder
are proportional to numbers of tokens: those it trains on, which are known from the recipe, and
those it samples and scores, for which the recipe gives a bound. So one measurement on this machine,
the time of a training step, gives an estimate of the whole.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from functools import partial

from glassmind.pipeline.rollouts.options import GRPOOptions
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

LONG = 600.0
"""Seconds from which on work is said to be long."""


def training_tokens(recipe: Recipe, stage: str) -> int:
    """Tokens that a stage trains on."""
    config = recipe.verifier.train if stage == VERIFIER else recipe.train
    return config.steps * step_tokens(config)


def step_tokens(config: TrainConfig) -> int:
    return config.batch_rows * config.row_tokens * config.accumulate


def sampled_tokens(recipe: Recipe) -> float:
    """Tokens that are sampled or scored: the chains that the verifier learns from, and for each
    test problem two greedy answers and the samples, which the verifier then scores.

    Learning from reward samples and learns from chains, and then answers as often once more.
    """
    problems, verifier = recipe.problems, recipe.verifier
    tests = problems.test + problems.longer + problems.reworded
    chains = verifier.problems * verifier.samples + tests * (2 + 2 * recipe.sampling.samples)
    if recipe.reinforce.on:
        options = GRPOOptions(**recipe.reinforce.options)  # type: ignore[arg-type]  # checked
        drawn = options.questions * options.group * recipe.reinforce.train.steps
        chains += round(drawn * (1 + options.passes / SAMPLED)) + tests * (
            1 + 2 * recipe.sampling.samples
        )
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
    rest will take.

    ``seconds_left(stage, done, step_seconds)`` estimates that, by default for the stage alone, and
    ``stages`` are those whose steps are measured, by default all that count steps.
    """

    def __init__(
        self,
        inner: Progress,
        seconds_left: Callable[[str, int, float], float] | None = None,
        stages: Collection[str] = (),
    ) -> None:
        self.inner, self.seconds_left, self.stages = inner, seconds_left, stages
        self._pace: Pace | None = None
        self._stage, self._total, self._began = "", 0, 0.0
        self._told = False

    @classmethod
    def of_ladder(cls, inner: Progress, recipe: Recipe) -> Forecast:
        """For all stages of a ladder of Glassmind's own models."""
        return cls(inner, partial(seconds_left, recipe), TRAINED)

    def start(self, stage: str, total: int, unit: str = "steps") -> None:
        self.inner.start(stage, total, unit)
        self._stage, self._total, self._began = stage, total, time.monotonic()
        watched = stage in self.stages if self.stages else unit == "steps"
        self._pace = Pace() if watched and not self._told else None

    def update(self, done: int, **figures: float) -> None:
        if self._pace is not None:
            now = time.monotonic()
            self._pace.report(now, done)
            rate = self._pace.rate()
            if rate is not None and now - self._began >= SECONDS:
                self._told, self._pace = True, None
                self._tell(done, 1 / rate)
        self.inner.update(done, **figures)

    def _tell(self, done: int, step_seconds: float) -> None:
        if self.seconds_left is None:
            seconds, what = (self._total - done) * step_seconds, "training"
        else:
            seconds, what = self.seconds_left(self._stage, done, step_seconds), "everything"
        if done < self._total:
            long = "; Ctrl-C stops it, and --resume goes on from its last checkpoint"
            remark = long if too_long(seconds) else ""
            self.inner.end(f"At this pace {what} takes about {in_minutes(seconds)} more{remark}")
            self.inner.start(self._stage, self._total)

    def end(self, summary: str = "") -> None:
        self._pace = None
        self.inner.end(summary)


def too_long(seconds: float) -> bool:
    """Whether work takes so long that its user is told how to shorten or interrupt it."""
    return seconds > LONG


def in_minutes(seconds: float) -> str:
    """``a minute``, ``8 minutes``, ``2.5 hours``."""
    minutes = max(1, round(seconds / 60))
    if minutes >= 120:
        return f"{seconds / 3600:.1f} hours"
    return "a minute" if minutes == 1 else f"{minutes} minutes"
