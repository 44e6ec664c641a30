"""This machine: what it is called, what it can do, what else it is doing, how its threads wait.

Some settings are right on one machine and wrong on another (``train.calibration``), and a
measurement made while others use the processor says little. Both need to know about the machine;
nothing here needs torch.
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
    """The processor's name, or its architecture where the system does not tell the name."""
    found = _cpuinfo(r"model name")
    return found or platform.processor() or platform.machine() or "unknown processor"


def instructions() -> str:
    """The processor's instruction sets in the system's words; "" where it does not tell them."""
    return _cpuinfo(r"(?:flags|Features)")


def usable_cores() -> list[int]:
    """The numbers of the cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def wait_asleep(environment: MutableMapping[str, str] = os.environ) -> None:
    """Let OpenMP's threads sleep while they wait for each other, unless the user has chosen.

    By default a thread that is done with its share of an operation keeps its core busy until the
    others are done too. Beside other processes it so takes the core from a thread that still has
    work. On two cores, which other processes kept busy, training was
    three times and sampling seventy times as fast with sleeping threads
    (``benchmarks/under_load.py``).

    The library reads its settings when it is loaded, so this must come before torch is imported.
    """
    if not any(name in environment for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")):
        environment["OMP_WAIT_POLICY"] = "passive"


class OtherWork:
    """How many of the cores that this process may use are busy with something else.

    ``since()`` is the mean since the object was made: 0.0 on a machine that is left alone, 1.0
    beside one busy process; ``None`` where the system does not tell.
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
    """The first core's value of ``key``, a regular expression."""
    try:
        text = _CPUINFO.read_text("utf-8", errors="replace")
    except OSError:
        return ""
    found = re.search(rf"^{key}\s*:[ \t]*(.*)$", text, re.MULTILINE)
    return found[1].strip() if found else ""


def _busy_seconds() -> float | None:
    """Seconds that this process's cores have worked since the machine started, all added up."""
    try:
        lines = _STAT.read_text("utf-8").splitlines()
    except OSError:
        return None
    names = {f"cpu{core}" for core in usable_cores()}
    # user, nice, system, idle, iowait, irq, softirq, steal, then what user and nice include
    rows = [[int(n) for n in line.split()[1:9]] for line in lines if line.split()[0] in names]
    if not rows:
        return None
    ticks = sum(sum(row) - sum(row[3:5]) for row in rows)
    return ticks / os.sysconf("SC_CLK_TCK")
