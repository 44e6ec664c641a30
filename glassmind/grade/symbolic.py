"""Whether two formulas are the same, decided in a worker process; verdicts are cached.

A model may write any formula, ``9^{9^{9^9}}`` included, and comparing two may take forever. So
``symbolic_script`` does it in a process with limits (``glassmind.worker``), which starts when the
first two formulas that differ in spelling have to be compared. (Math-Verify limits itself by
signals, which work only in a program's main thread.)

If a comparison is cut off, the two answers count as different. ``comparisons`` says how often that
happened, because such an answer may be graded wrong although it is right. Comparing formulas needs
the packages of the extra ``glassmind[math]``; without them formulas are compared as text, and a
warning says so.
"""

from __future__ import annotations

import importlib.util
import sys
import threading
import time
import warnings
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from glassmind.grade.forms import RelationSign
from glassmind.worker import Worker, WorkerStopped

SECONDS = 5.0
"""The limit for one comparison, which usually takes a tenth of a second or less."""

_REMEMBERED = 65_536
_LONGEST_ANSWER = 1_000
_WORKER = Worker(
    Path(__file__).with_name("symbolic_script.py"),
    seconds=SECONDS,
    memory=1 << 30,
    cannot_start="the process that compares formulas does not start; install its packages with "
    f"pip install 'glassmind[math]' for {sys.executable}",
)

Kind = Literal["formula"] | RelationSign


@dataclass(frozen=True, slots=True)
class Comparisons:
    """How many comparisons of formulas the worker was asked for, how many of them it could not
    finish within its limits (``cut_off``), and how many were made as text, without a worker."""

    asked: int = 0
    cut_off: int = 0
    as_text: int = 0

    def __sub__(self, before: Comparisons) -> Comparisons:
        return Comparisons(
            self.asked - before.asked,
            self.cut_off - before.cut_off,
            self.as_text - before.as_text,
        )


_lock = threading.Lock()
_count = Comparisons()
_available: bool | None = None
# (kind, a, b) -> the verdict, None if it was cut off; the least recently used is dropped first
_verdicts: OrderedDict[tuple[str, tuple[str, ...], tuple[str, ...]], bool | None] = OrderedDict()


def comparisons() -> Comparisons:
    """The counts since the program began; the difference of two are those of a job."""
    return _count


class CutOff(Exception):
    """A comparison exceeded its limits of time or memory."""


def same_formula(kind: Kind, a: tuple[str, ...], b: tuple[str, ...], deadline: float) -> bool:
    """Whether two formulas, or the two sides of two relations, are equal. Symmetric.

    ``a`` and ``b`` are LaTeX as ``typesetting.compact`` writes it. ``deadline`` is in seconds of
    ``time.monotonic``. Verdicts are cached, cut-offs too: a comparison that was cut off is not
    tried again.

    Raises:
        CutOff: the worker had to be stopped, or the deadline is past.
    """
    if a == b:
        return True
    first, second = sorted((a, b))
    key = (kind, first, second)
    with _lock:
        if key in _verdicts:
            _verdicts.move_to_end(key)
            return _known(_verdicts[key])
    if not _worker_available():
        _add(as_text=1)
        return False
    seconds = min(SECONDS, deadline - time.monotonic())
    verdict = _ask(kind, first, second, seconds) if seconds > 0 else None
    _add(asked=1, cut_off=int(verdict is None))
    if verdict is not None or seconds == SECONDS:
        with _lock:
            _verdicts[key] = verdict
            if len(_verdicts) > _REMEMBERED:
                _verdicts.popitem(last=False)
    return _known(verdict)


def _known(verdict: bool | None) -> bool:
    if verdict is None:
        raise CutOff
    return verdict


def _ask(kind: Kind, a: tuple[str, ...], b: tuple[str, ...], seconds: float) -> bool | None:
    try:
        answer = _WORKER.ask({"kind": kind, "a": a, "b": b}, _LONGEST_ANSWER, seconds=seconds)
    except WorkerStopped:
        return None
    return None if "failure" in answer else bool(answer["same"])


def _worker_available() -> bool:
    """Whether formulas can be compared; warns once if not."""
    global _available
    if _available is None:
        _available = all(map(importlib.util.find_spec, ("sympy", "latex2sympy2_extended")))
        if not _available:
            warnings.warn(
                "formulas are compared as text, so that 2x and x+x are different answers; to "
                "compare them as formulas, pip install 'glassmind[math]'",
                stacklevel=2,
            )
    return _available


def _add(*, asked: int = 0, cut_off: int = 0, as_text: int = 0) -> None:
    global _count
    with _lock:
        _count = Comparisons(
            _count.asked + asked, _count.cut_off + cut_off, _count.as_text + as_text
        )
