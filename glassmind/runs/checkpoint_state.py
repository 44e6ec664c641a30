"""``state.json``, which says what a checkpoint is, and the step that makes a checkpoint valid.

It is written last and has a checksum of itself, so that a changed number (of the step, or of a
random generator) is noticed like a changed tensor.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from glassmind.files import sync_folder, write_json

FORMAT = 3
CHECKSUM = "state_checksum"


def write_state(folder: Path, state: Mapping[str, Any]) -> None:
    """Write ``state.json`` with the number of its format and its checksum."""
    whole = {"format": FORMAT, **state}
    write_json(folder / "state.json", whole | {CHECKSUM: _checksum(whole)})


def has_its_checksum(state: Mapping[str, Any]) -> bool:
    """Whether ``state`` is as ``write_state`` wrote it."""
    return state.get(CHECKSUM) == _checksum(state)


def put_in_place(unfinished: Path, target: Path) -> None:
    """Give a complete checkpoint its name, on the disk too: older ones are deleted after that."""
    sync_folder(unfinished)
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    else:
        target.unlink(missing_ok=True)
    unfinished.rename(target)
    sync_folder(target.parent)


def _checksum(state: Mapping[str, Any]) -> str:
    """Of the values, however they are spaced; the checksum itself does not count."""
    values = json.loads(json.dumps({key: v for key, v in state.items() if key != CHECKSUM}))
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
