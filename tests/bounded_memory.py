"""Memory that a test may take: beyond it, the code under test fails with ``MemoryError``.

A file made to exhaust memory must be refused before it does. Where the system has a limit on
address space (Linux), it is lowered for the duration of a block; elsewhere the block just runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STATUS = Path("/proc/self/statm")


@contextmanager
def at_most(mebibytes: int) -> Iterator[None]:
    """Let this process grow by no more than that inside the block."""
    if not STATUS.is_file():
        yield
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    now = int(STATUS.read_text("ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + (mebibytes << 20), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
