"""``groups.jsonl``: completions that a run has learned from, with all that their loss follows from.

One line for each logged step of learning from reward: one question, its group of completions, and
for each token the log-probabilities that the loss was computed from. A report shows them, and the
loss of a step can be computed again from its line, token by token.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from glassmind.records import Finish
from glassmind.runs.step_lines import StepLines

NAME = "groups.jsonl"
MOST_TOKENS = 1 << 16
"""A group with more tokens is not written."""


@dataclass(frozen=True, slots=True)
class LoggedCompletion:
    """One completion; the tuples have one value for each token.

    ``pieces`` are the tokens as text. ``written`` says which tokens are learned: not those that a
    tool wrote, and none of a completion that is left out because it was cut off. The
    log-probabilities (nats) are the sampler's, the trainer's on its first pass, and the
    reference's, if there is one; a token that is not learned has 0 under the last two. ``rewards``
    holds each reward by its name, ``reward`` their weighted sum.
    """

    pieces: tuple[str, ...]
    ids: tuple[int, ...]
    written: tuple[bool, ...]
    sampled_logprobs: tuple[float, ...]
    logprobs: tuple[float, ...]
    reference_logprobs: tuple[float, ...] | None
    rewards: dict[str, float]
    reward: float
    advantage: float
    finish: Finish


@dataclass(frozen=True, slots=True)
class LoggedGroup:
    """One line: the group of one problem, of which step ``step`` was taken."""

    step: int
    problem: str
    question: str
    answer: str
    completions: tuple[LoggedCompletion, ...]


_FILE = StepLines(NAME, LoggedGroup)


def read_groups(folder: Path, most: int | None = None) -> list[LoggedGroup]:
    """The groups of the run in ``folder``, at most ``most`` of them (``StepLines.read``).

    Raises:
        UserError: the file is damaged.
    """
    return _FILE.read(folder, most)


def read_group(folder: Path, step: int) -> LoggedGroup:
    """The group of one step.

    Raises:
        UserError: the run has none of this step, or the file is damaged.
    """
    return _FILE.read_step(folder, step)


def write_group(folder: Path, group: LoggedGroup) -> None:
    """Append a line."""
    if sum(len(completion.ids) for completion in group.completions) <= MOST_TOKENS:
        _FILE.append(folder, group)


def cut_groups(folder: Path, step: int) -> None:
    """Drop the lines of later steps than ``step`` before a run goes on."""
    _FILE.cut(folder, step)
