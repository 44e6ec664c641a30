"""Files that are there whole or not at all.

Writing may be interrupted, and a reader must never find half a model. What is written goes to a
temporary neighbour first, and takes its place in one step at the end.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yields the path to write to; at the end of the block the file is at ``path``.

    Makes the folder if need be. Where the block raises, nothing is left and nothing changed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)  # mkstemp makes it readable by its owner alone
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
