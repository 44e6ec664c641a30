"""The program of a worker process (``process.py`` starts it).

It imports nothing of this package, so that the process is small, starts quickly and holds no
secrets. A request is a line of JSON on standard input, an answer a line of JSON on standard output;
the program ends when its input ends.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

try:
    import resource
except ImportError:  # Windows, where only the time limit applies
    resource = None  # type: ignore[assignment]


def _load(script: str) -> Callable[[Any], dict[str, Any]]:
    """The function ``answer`` of the file ``script``."""
    spec = importlib.util.spec_from_file_location("script", script)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    answer: Callable[[Any], dict[str, Any]] = module.answer
    return answer


def _limit(memory: int) -> None:
    if resource is not None:
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        most = _within(memory, hard)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _limit_time(seconds: int) -> None:
    """Limit the processor time, in case the parent is no longer there to kill this process."""
    if resource is not None:
        used = resource.getrusage(resource.RUSAGE_SELF)
        most = int(used.ru_utime + used.ru_stime) + seconds + 2
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (_within(most, hard), hard))


def _within(most: int, hard: int) -> int:
    """A limit that may be set: a process cannot go above the hard limit that it was given, for
    example by ``ulimit -t`` or a batch system."""
    return most if resource is None or hard == resource.RLIM_INFINITY else min(most, hard)


def main(script: str, memory: int, seconds: int) -> None:
    """Answers requests; ``memory`` is in bytes, and each gets ``seconds`` of processor time."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent process handles Ctrl-C
    answer = _load(script)
    _limit(memory)
    # The output of a library must not be taken for an answer.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    out.write("ready\n")
    out.flush()
    for line in sys.stdin:
        _limit_time(seconds)
        try:
            answered = answer(json.loads(line))
        except MemoryError:
            answered = {"failure": "memory", "message": ""}
        out.write(json.dumps(answered) + "\n")
        out.flush()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
