"""The jobs of ``engine_speed.py`` and their protocol: one line of JSON in each direction.

Every row of the comparison is a ``Job``: continue these prompts. One prompt, greedily, is decoding
at batch 1; with a limit of one token it is the time to the first token; 64 prompts of 8 samples are
a batch. A side is a separate process that stays alive, so loading and importing are never timed.
Only the standard library is imported here, because llama.cpp's Python has neither torch nor
Glassmind.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Job:
    """Continue ``prompts`` (token ids) by at most ``limits`` (of each) tokens, ``samples`` times.

    ``temperature`` 0 is greedy. ``stop``, if it is a token's id, ends a sample. ``width`` is how
    much the side processes at once: prompts in a batch for transformers, sequences for llama.cpp,
    whose cache is one buffer for all if ``unified``. Our engine chooses this by itself.
    """

    prompts: Sequence[Sequence[int]]
    limits: Sequence[int]
    samples: int = 1
    temperature: float = 0.0
    stop: int = -1
    width: int = 1
    unified: bool = True


@dataclass(frozen=True)
class Made:
    """The number of tokens that the job asked for, stops included, and the seconds they took."""

    tokens: int
    seconds: float

    @property
    def per_second(self) -> float:
        return self.tokens / self.seconds


Side = Callable[[Job], Made]


def answer_jobs(sides: Mapping[str, Side], facts: Mapping[str, str]) -> None:
    """The loop of a side: print what it offers, then do every job that comes in."""
    told = sys.stdout
    sys.stdout = sys.stderr  # the output of a library must not be taken for an answer
    print(json.dumps(facts), file=told, flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        made = sides[asked["side"]](Job(**asked["job"]))
        print(json.dumps(asdict(made)), file=told, flush=True)


class Process:
    """The benchmark's handle of a process with one or several models in it."""

    def __init__(self, command: Sequence[str]) -> None:
        self._complaints = tempfile.TemporaryFile("w+")  # noqa: SIM115  # as long as the process
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            text=True,
        )
        self.facts: dict[str, str] = self._line()

    def side(self, name: str) -> Side:
        """The side that has this name in the process."""

        def do(job: Job) -> Made:
            assert self._process.stdin is not None
            print(
                json.dumps({"side": name, "job": asdict(job)}), file=self._process.stdin, flush=True
            )
            return Made(**self._line())

        return do

    def close(self) -> None:
        self._process.communicate()
        self._complaints.close()

    def _line(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            self._complaints.seek(0)
            raise SystemExit(f"a side has ended: {self._complaints.read()[-2000:]}")
        return json.loads(line)
