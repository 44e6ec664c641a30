"""Facts about this machine: its processor, its load from other processes, how its threads wait.

Some settings are fast on one machine and slow on another (``train.arithmetic.calibration``), and a
measurement made while other processes use the processor is unreliable. Both need facts about the
machine.
Nothing here imports torch.
"""

from __future__ import annotations

import os
import platform
import re
import time
from collections.abc import MutableMapping
from pathlib import Path

_CPUINFO, _STAT = Path("/proc/cpuinfo"), Path("/proc/stat")


def processor() -> str:
    """The processor's name, or its architecture if the system does not give the name."""
    found = _cpuinfo(r"model name")
    return found or platform.processor() or platform.machine() or "unknown processor"


def instructions() -> str:
    """The processor's instruction sets as the system names them; "" if it does not list them."""
    return _cpuinfo(r"(?:flags|Features)")


def usable_cores() -> list[int]:
    """The numbers of the cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def wait_asleep(environment: MutableMapping[str, str] = os.environ) -> None:
    """Let OpenMP's threads sleep while they wait for each other, unless the user has chosen.

    By default a thread that has finished its share of an operation keeps its core busy until the
    others have finished too. If other processes are running, it thereby takes the core from a
    thread that still has work. On two cores kept busy by other processes, training was three times
    and sampling seventy times as fast with sleeping threads (``benchmarks/under_load.py``).

    OpenMP reads its settings when it is loaded, so call this before torch is imported.
    """
    if not any(name in environment for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")):
        environment["OMP_WAIT_POLICY"] = "passive"


class OtherWork:
    """How many of the cores that this process may use are busy with other processes.

    ``since()`` is the mean since the object was created: 0.0 on an otherwise idle machine, 1.0
    with one other busy process; ``None`` if the system does not say.
    """

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._busy, self._own = _busy_seconds(), time.process_time()

    def since(self) -> float | None:
        busy, elapsed = _busy_seconds(), time.monotonic() - self._began
        if busy is None or self._busy is None or elapsed <= 0:
            return None
        own = time.process_time() - self._own
        return max(0.0, (busy - self._busy - own) / elapsed)


def _cpuinfo(key: str) -> str:
    """The value of ``key``, a regular expression, for the first core."""
    try:
        text = _CPUINFO.read_text("utf-8", errors="replace")
    except OSError:
        return ""
    found = re.search(rf"^{key}\s*:[ \t]*(.*)$", text, re.MULTILINE)
    return found[1].strip() if found else ""


def _busy_seconds() -> float | None:
    """Seconds of work since the machine started, summed over the cores of this process."""
    try:
        lines = _STAT.read_text("utf-8").splitlines()
    except OSError:
        return None
    names = {f"cpu{core}" for core in usable_cores()}
    # user, nice, system, idle, iowait, irq, softirq, steal; the rest is included in user and nice
    rows = [[int(n) for n in line.split()[1:9]] for line in lines if line.split()[0] in names]
    if not rows:
        return None
    ticks = sum(sum(row) - sum(row[3:5]) for row in rows)
    return ticks / os.sysconf("SC_CLK_TCK")
