"""Where models of the Hugging Face Hub are stored, and how they are found again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

MARK = ".pulled.json"


@dataclass(frozen=True, slots=True)
class PulledFrom:
    """``.pulled.json``: the repository and commit of the files in a folder."""

    repository: str
    revision: str


def default_folder(name: str) -> Path:
    """The default folder of ``org/name``: ``models/org--name`` in the current folder."""
    return Path("models") / name.replace("/", "--")


def pulled_model(folder: Path) -> Path:
    """The path to load: the folder, or the single GGUF file that was pulled into it."""
    if (folder / MARK).is_file() and not (folder / "config.json").is_file():
        files = sorted(folder.glob("*.gguf"))
        if len(files) == 1:
            return files[0]
    return folder
