"""Sampled chains on disk, so that an evaluation that was killed goes on, and one that is repeated
costs nothing.

A store is a folder with a file for each kind of chains of an evaluation (greedy, sampled, judged by
a verifier). The file's name is a hash of its first line, which says what the chains were made of
(``Provenance``); every other line is the trace of one problem as JSON, in the order of the
problems. Traces are written batch by batch and flushed to the disk, so whatever kills the program
costs at most one batch. A line that was cut off is cut away when the file is opened again.

The chains do not depend on the grading, which is always done anew.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

from glassmind.errors import UserError
from glassmind.evaluate.provenance import Provenance
from glassmind.progress import Progress, Silent
from glassmind.reason.session import Make
from glassmind.records import Problem, Trace
from glassmind.serialization import MOST_RESULT, decode, encode, parse_json
from glassmind.tokenize import Style

try:
    import fcntl
except ImportError:  # Windows has no such lock; there two programs may sample the same chains
    fcntl = None  # type: ignore[assignment]

FORMAT = 1
BATCH = 64
"""Problems between two writes: what is lost at most."""

MAX_BYTES = 2 << 30
"""Of all files together. The files that were not used for longest are deleted first."""

MAX_LINE = 64 << 20
"""A longer line (in bytes) is not read."""


@dataclass(frozen=True, slots=True)
class Header:
    """The first line of a file: its format, what its chains were made of, and their kind."""

    format: int
    made_of: Provenance
    chains: str


@dataclass(frozen=True)
class SampleStore:
    """The chains of one evaluation below ``folder``. ``progress`` is told what was found there;
    ``used`` collects the files of this evaluation."""

    folder: Path
    made_of: Provenance
    progress: Progress = field(default_factory=Silent)
    used: set[Path] = field(default_factory=set, repr=False, compare=False)

    def path(self, chains: str) -> Path:
        """The file for one kind of chains, such as ``chain-greedy``."""
        return self.folder / f"{hashlib.sha256(self._header(chains)).hexdigest()[:32]}.jsonl"

    def keep(self, name: str, problems: Sequence[Problem], style: Style, make: Make) -> list[Trace]:
        """A ``Keep`` of ``Session``: read what is there, make the rest, batch by batch.

        Chains of other problems than those of the evaluation are made and not stored.
        """
        if len(problems) != self.made_of.problems:
            return make()
        path = self.path(name)
        self.used.add(path)
        with _alone(path) as file:
            if file is None:
                self.progress.end(f"another evaluation writes {path}: this one stores nothing")
                return make()
            traces = self._stored(file, name, problems)
            if traces:
                self.progress.end(f"{name}: {len(traces)} of {len(problems)} problems were stored")
            while len(traces) < len(problems):
                made = make(len(traces), min(len(traces) + BATCH, len(problems)))
                file.write(b"".join(map(_line, made)))
                file.flush()
                os.fsync(file.fileno())
                traces += made
            os.utime(path)
        self._prune()
        return traces

    def _prune(self) -> None:
        """Delete the files of other evaluations that were used longest ago, until the rest is small
        enough."""
        found = [(path.stat(), path) for path in self.folder.glob("*.jsonl")]
        total = 0
        for status, path in sorted(found, key=lambda pair: pair[0].st_mtime, reverse=True):
            total += status.st_size
            if total > MAX_BYTES and path not in self.used:
                path.unlink(missing_ok=True)

    def _header(self, chains: str) -> bytes:
        # Only what decides how these chains look: greedy ones are the same at any temperature.
        made_of = self.made_of
        if chains.endswith("-greedy"):
            made_of = replace(made_of, samples=1, temperature=0.0, top_k=0, top_p=1.0)
        text = json.dumps(encode(Header(FORMAT, made_of, chains)), ensure_ascii=False)
        return text.encode("utf-8") + b"\n"

    def _stored(self, file: BinaryIO, name: str, problems: Sequence[Problem]) -> list[Trace]:
        """The traces in the file, which is then positioned, and cut off, behind the last of them.
        A new file gets its first line."""
        file.seek(0)
        header = self._header(name)
        traces: list[Trace] = []
        if file.readline(MAX_LINE) == header:
            end = file.tell()
            for problem in problems:
                trace = _trace(file.readline(MAX_LINE), problem)
                if trace is None:
                    break
                traces.append(trace)
                end = file.tell()
            file.seek(end)
            file.truncate()
        else:
            file.seek(0)
            file.truncate()
            file.write(header)
        return traces


def _line(trace: Trace) -> bytes:
    return json.dumps(encode(trace), ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def _trace(line: bytes, problem: Problem) -> Trace | None:
    """The trace of a line; ``None`` if it is cut off, damaged, or of another problem."""
    if not line.endswith(b"\n"):
        return None
    try:
        trace = decode(
            Trace, parse_json(line, "a stored trace", most=MOST_RESULT), "a stored trace"
        )
    except UserError:
        return None
    return trace if trace.problem_id == problem.id and trace.nodes else None


@contextmanager
def _alone(path: Path) -> Iterator[BinaryIO | None]:
    """The file opened for reading and writing, ``None`` while another process has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    with os.fdopen(handle, "r+b") as file:
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield None
                return
        yield file
