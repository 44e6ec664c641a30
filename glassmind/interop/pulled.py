"""Where models of the Hugging Face Hub are put, and how they are found again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

MARK = ".pulled.json"


@dataclass(frozen=True, slots=True)
class PulledFrom:
    """``.pulled.json``: which repository, at which commit, a folder holds."""

    repository: str
    revision: str


def default_folder(name: str) -> Path:
    """Where ``org/name`` is put unless told: ``models/org--name`` below the current folder."""
    return Path("models") / name.replace("/", "--")


def pulled_model(folder: Path) -> Path:
    """What to load of a pulled folder: the folder, or the one GGUF file that was pulled into it."""
    if (folder / MARK).is_file() and not (folder / "config.json").is_file():
        files = sorted(folder.glob("*.gguf"))
        if len(files) == 1:
            return files[0]
    return folder
