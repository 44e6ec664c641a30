"""The forecast of a ladder: the demo's figures, and when it speaks."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from glassmind.pipeline.forecast import Forecast, seconds_left
from glassmind.progress import Silent
from glassmind.runs.recipe import read_recipe

WHOLE = read_recipe("demo")
DEMO = replace(WHOLE, reinforce=replace(WHOLE.reinforce, on=False))


class Screen(Silent):
    def __init__(self) -> None:
        self.seen: list[str] = []

    def start(self, stage: str, total: int, unit: str = "steps") -> None:
        self.seen.append(f"{stage} {total} {unit}")

    def update(self, done: int, **figures: float) -> None:
        self.seen.append(f"{done}")

    def end(self, summary: str = "") -> None:
        self.seen.append(summary)


def test_the_demo_is_forecast_as_it_was_measured() -> None:
    """A run on two cores: 0.443 seconds a step, and 1,105 seconds for all of its stages."""
    assert seconds_left(DEMO, "direct", 0, 0.443) == pytest.approx(1105, rel=0.1)
    halfway = seconds_left(DEMO, "direct", 395, 0.443)
    assert seconds_left(DEMO, "chain-of-thought", 0, 0.443) < halfway < 1105 - 0.4 * 395
    # A verifier's step has other rows than the models': 2,560 tokens where theirs have 3,072.
    last = seconds_left(DEMO, "verifier", 350, 0.443 * 2560 / 3072)
    assert last == pytest.approx(249, rel=0.15)
    # Learning from reward draws 7,680 chains, and as many tests are answered again.
    more = seconds_left(WHOLE, "direct", 0, 0.443) / seconds_left(DEMO, "direct", 0, 0.443)
    assert 1.15 < more < 1.3


def test_it_is_told_once_after_a_few_seconds_of_training(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    screen = Screen()
    forecast = Forecast.of_ladder(screen, DEMO)
    forecast.start("direct: compiling", 1, "step")
    forecast.end("compiled")
    for _ in range(2):
        forecast.start("direct", 790)
        for step in range(0, 50, 10):
            forecast.update(step)
            now[0] += 2.0
        forecast.end("over")
    told = "At this pace everything takes about 8 minutes more"
    assert screen.seen == [
        *("direct: compiling 1 step", "compiled", "direct 790 steps", "0", "10"),
        *(told, "direct 790 steps", "20", "30", "40", "over"),
        *("direct 790 steps", "0", "10", "20", "30", "40", "over"),
    ]


def test_a_single_run_is_told_after_its_first_long_step(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    screen = Screen()
    forecast = Forecast(screen)
    forecast.start("sampling", 20, "chains")
    forecast.update(0)
    now[0] += 5.0
    forecast.update(10)
    forecast.end("sampled")
    forecast.start("chat", 31)
    forecast.update(0)
    now[0] += 30.0
    forecast.update(1)
    told = "At this pace training takes about 15 minutes more"
    remark = "; Ctrl-C stops it, and --resume goes on from its last checkpoint"
    assert screen.seen == [
        *("sampling 20 chains", "0", "10", "sampled"),
        *("chat 31 steps", "0", told + remark, "chat 31 steps", "1"),
    ]
