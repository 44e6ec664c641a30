"""A file of a run with one line of JSON for each of some steps, such as ``groups.jsonl``.

A run that is resumed repeats the steps since its checkpoint, so it first drops their lines
(``cut``). The file is kept below ``MOST_BYTES``: when it would grow beyond, every second line is
dropped, so that the whole run stays covered.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from glassmind.errors import UserError
from glassmind.files import write_text
from glassmind.serialization import decode, encode, parse_json, parse_object

MOST_BYTES = 64 << 20

T = TypeVar("T")


@dataclass(frozen=True)
class StepLines(Generic[T]):
    """The lines of the file ``name`` in a run's folder, each a record of ``kind`` with a ``step``.

    A line that a killed run left half written is skipped by all that reads.
    """

    name: str
    kind: type[T]

    def read(self, folder: Path, most: int | None = None) -> list[T]:
        """The records in the order of steps; none if there is no such file.

        If there are more than ``most``, as many are chosen, evenly over the run.

        Raises:
            UserError: the file is damaged.
        """
        lines = self._lines(folder)
        if most is not None and len(lines) > most:
            lines = [lines[number * len(lines) // most] for number in range(most)]
        return [self._decoded(*line) for line in lines]

    def read_step(self, folder: Path, step: int) -> T:
        """The record of one step.

        Raises:
            UserError: there is none, or the file is damaged.
        """
        lines = {_step(text, where): (where, text) for where, text in self._lines(folder)}
        if not lines:
            raise UserError(
                f"{folder} has no {self.name}: it is written by training on rewards (glassmind "
                "train grpo)"
            )
        if step not in lines:
            near = sorted(sorted(lines, key=lambda logged: abs(logged - step))[:4])
            raise UserError(
                f"step {step} of {folder} was not logged (train.log_every): near it are "
                f"{', '.join(map(str, near))}"
            )
        return self._decoded(*lines[step])

    def append(self, folder: Path, record: T) -> None:
        """Write one more line."""
        path = folder / self.name
        line = json.dumps(encode(record)) + "\n"
        if path.exists() and path.stat().st_size + len(line) > MOST_BYTES:
            write_text(path, "".join(f"{text}\n" for _, text in self._lines(folder)[::2]))
        with path.open("a", encoding="utf-8") as file:
            file.write(line)

    def cut(self, folder: Path, step: int) -> None:
        """Drop the lines of later steps than ``step``, and a half line, before a run goes on."""
        path = folder / self.name
        if path.exists():
            kept = [text for where, text in self._lines(folder) if _step(text, where) <= step]
            write_text(path, "".join(f"{text}\n" for text in kept))

    def _lines(self, folder: Path) -> list[tuple[str, str]]:
        """Place and text of each whole line."""
        path = folder / self.name
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

    def _decoded(self, where: str, line: str) -> T:
        return decode(self.kind, parse_json(line, where), where, unknown_keys="ignore")


def _step(text: str, where: str) -> int:
    step = parse_object(text, where).get("step")
    if not isinstance(step, int):
        raise UserError(f"{where} has no step: delete the file to go on without it")
    return step
