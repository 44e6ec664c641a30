"""One process writes a run: a lock that the operating system releases when the process ends.

The folder itself is locked, so no lock file is left in it.
"""

from __future__ import annotations

import os
from pathlib import Path

from glassmind.errors import UserError

try:
    import fcntl
except ImportError:  # Windows has no such lock, so nothing is checked there
    fcntl = None  # type: ignore[assignment]

_held: dict[Path, int] = {}


def hold(folder: Path) -> None:
    """Lock ``folder`` for this process until the process ends.

    Raises:
        UserError: another process holds it.
    """
    place = folder.resolve()
    if fcntl is None or place in _held:
        return
    handle = os.open(place, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise UserError(
            f"another process is writing {folder}: wait until it has finished, "
            "or name another folder by --run"
        ) from None
    _held[place] = handle
