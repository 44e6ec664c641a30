"""``watched.jsonl``: the same held-out problems, answered greedily again and again during training.

Rewards and solve rates are means over questions that are drawn anew each time. The answers to the
same few questions show what has changed in what the model writes; they are graded exactly,
whatever the reward is.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from glassmind.runs.step_lines import StepLines

NAME = "watched.jsonl"
SHOWN = 8
"""Problems whose replies are kept; the others are only graded."""

LONGEST = 2_000
"""Characters of a reply that are kept."""


@dataclass(frozen=True, slots=True)
class WatchedReply:
    """A problem with its right ``answer``, and what the model wrote and gave as its answer."""

    problem: str
    question: str
    answer: str
    text: str
    gave: str | None
    right: bool


@dataclass(frozen=True, slots=True)
class WatchedStep:
    """One line: of ``n`` problems, ``solved`` are, with the weights after ``step``."""

    step: int
    n: int
    solved: int
    replies: tuple[WatchedReply, ...]


_FILE = StepLines(NAME, WatchedStep)


def read_watched(folder: Path, most: int | None = None) -> list[WatchedStep]:
    """The lines of the run in ``folder``, at most ``most`` of them (``StepLines.read``).

    Raises:
        UserError: the file is damaged.
    """
    return _FILE.read(folder, most)


def write_watched(folder: Path, row: WatchedStep) -> None:
    """Append a line."""
    _FILE.append(folder, row)


def cut_watched(folder: Path, step: int) -> None:
    """Drop the lines of later steps than ``step`` before a run goes on."""
    _FILE.cut(folder, step)
