"""``groups.jsonl``: completions that a run has learned from, with all that their loss follows from.

One line for each logged step of learning from reward: one question, its group of completions, and
for each token the log-probabilities that the loss was computed from. A report shows them, and the
loss of a step can be computed again from its line, token by token.

A run that is resumed repeats the steps since its checkpoint, so it first drops their lines
(``cut_groups``). The file is kept below ``MOST_BYTES``: when it would grow beyond, every second
line is dropped, so that the whole run stays covered.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from glassmind.errors import UserError
from glassmind.files import write_text
from glassmind.records import Finish
from glassmind.serialization import decode, encode, parse_json, parse_object

NAME = "groups.jsonl"
MOST_BYTES = 64 << 20
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


def read_groups(folder: Path) -> list[LoggedGroup]:
    """The groups of the run in ``folder``, in the order of steps; none if it has no such file.

    A line that a killed run left half written is skipped.

    Raises:
        UserError: the file is damaged.
    """
    path = folder / NAME
    return [
        decode(LoggedGroup, parse_json(line, where), where, unknown_keys="ignore")
        for where, line in _lines(path)
    ]


def write_group(folder: Path, group: LoggedGroup) -> None:
    """Append a line."""
    if sum(len(completion.ids) for completion in group.completions) > MOST_TOKENS:
        return
    path = folder / NAME
    line = json.dumps(encode(group)) + "\n"
    if path.exists() and path.stat().st_size + len(line) > MOST_BYTES:
        write_text(path, "".join(f"{text}\n" for _, text in _lines(path)[::2]))
    with path.open("a", encoding="utf-8") as file:
        file.write(line)


def cut_groups(folder: Path, step: int) -> None:
    """Drop the lines of later steps than ``step``, and a half line, before a run goes on."""
    path = folder / NAME
    if path.exists():
        kept = [text for where, text in _lines(path) if _step(text, where) <= step]
        write_text(path, "".join(f"{text}\n" for text in kept))


def _lines(path: Path) -> list[tuple[str, str]]:
    """Place and text of each whole line."""
    if not path.exists():
        return []
    try:
        if path.stat().st_size > 2 * MOST_BYTES:
            raise UserError(f"{path} is larger than {2 * MOST_BYTES >> 20} MiB: delete it")
        text = path.read_text("utf-8", errors="replace")
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    whole = text.split("\n")[:-1]
    return [(f"{path}, line {number}", line) for number, line in enumerate(whole, 1)]


def _step(text: str, where: str) -> int:
    step = parse_object(text, where).get("step")
    if not isinstance(step, int):
        raise UserError(f"{where} has no step: delete the file to go on without it")
    return step
