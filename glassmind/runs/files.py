"""Files that are there whole or not at all, and a disk that is asked before it is filled.

A run may be killed at any moment. Everything is therefore written to a temporary neighbour and
renamed into place: a reader finds the old file or the new one, never half of either.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from glassmind.errors import UserError


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` atomically."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as JSON to ``path`` atomically."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=1) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        UserError: it is missing or not JSON.
    """
    try:
        return json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing") from None
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise UserError(f"{path} is not valid JSON: {error}") from None


def require_space(folder: Path, n_bytes: int) -> None:
    """Refuse to start writing ``n_bytes`` below ``folder`` where the disk has less.

    Raises:
        UserError: there is not room for the file and a margin of 1 MiB.
    """
    free = shutil.disk_usage(folder).free
    if free < n_bytes + 2**20:
        raise UserError(
            f"the disk of {folder} has {free / 2**20:.0f} MiB free and "
            f"{n_bytes / 2**20 + 1:.0f} MiB are needed: make room, then go on with --resume"
        )
