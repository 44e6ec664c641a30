"""The live display, by a clock of its own: both times named, and no promise from compiling."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from glassmind.cli import live


class Clock:
    """``time`` as the display sees it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(live, "time", made)
    return made


def test_lines_name_both_times_and_begin_early(clock: Clock) -> None:
    screen = io.StringIO()
    progress = live.LiveProgress(Console(file=screen, width=160))
    progress.start("chain-of-thought", 790)
    clock.now += 40  # something long before the first step
    progress.update(0)
    assert screen.getvalue() == ""
    for step in range(10, 210, 10):
        clock.now += 1
        progress.update(step, loss=2.5, tokens_per_second=30_720.0)
    progress.end("done")
    assert screen.getvalue().splitlines() == [
        "chain-of-thought: 10/790 steps, elapsed 0:00:41, left 0:01:18  loss 2.500  "
        "30,720 tokens/s",
        "chain-of-thought: 160/790 steps, elapsed 0:00:56, left 0:01:03  loss 2.500  "
        "30,720 tokens/s",
        "done",
    ]


def test_a_bar_names_both_times(clock: Clock) -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=160, color_system=None)
    with live.LiveProgress(console) as progress:
        progress.start("sampling", 100, "chains")
        progress.update(0)
        assert progress._times() == "elapsed 0:00:00"
        clock.now += 30
        progress.update(75)
        assert progress._times() == "elapsed 0:00:30, left 0:00:10"
    assert "elapsed 0:00:30, left 0:00:10" in screen.getvalue()
