"""Checkpoints: tensors as safetensors, everything else as JSON, nothing pickled.

A checkpoint is a folder ``step-000300`` with one ``.safetensors`` file a part (``model``,
``optimizer``) and ``state.json``, which also carries each file's SHA-256. It is written under
another name and renamed when complete; ``newest`` skips, and reports, one that was damaged
afterwards.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from glassmind.errors import UserError
from glassmind.runs.files import read_json, require_space, write_json

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """``tensors[part][name]`` and the JSON-able ``state`` of one moment."""

    tensors: dict[str, dict[str, Tensor]]
    state: dict[str, Any]


def save_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors to a safetensors file atomically; shared ones must be given once."""
    require_space(path.parent, sum(t.numel() * t.element_size() for t in tensors.values()))
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        contiguous = {name: t.detach().contiguous().cpu() for name, t in tensors.items()}
        try:
            safetensors.torch.save_file(contiguous, temporary)
        except SafetensorError as error:  # how the library reports, among others, a full disk
            raise UserError(f"{path} could not be written: {error}") from None
        temporary.chmod(0o644)  # the library makes it private; a run is to be shared
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file.

    Raises:
        UserError: it is missing, truncated, or no safetensors file at all.
    """
    if not path.is_file():
        raise UserError(f"{path} is missing")
    try:
        return safetensors.torch.load_file(path)
    except (SafetensorError, ValueError, OSError) as error:
        raise UserError(f"{path} is damaged or not a safetensors file ({error})") from None


def sha256(path: Path) -> str:
    """Checksum of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def save(folder: Path, step: int, checkpoint: Checkpoint, keep: int) -> None:
    """Write ``checkpoint`` as ``folder/step-…`` and delete all but the ``keep`` newest."""
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / f".unfinished-{os.getpid()}"
    for abandoned in folder.glob(".unfinished-*"):  # by a process that was killed
        shutil.rmtree(abandoned, ignore_errors=True)
    unfinished.mkdir()
    try:
        for part, tensors in checkpoint.tensors.items():
            save_tensors(tensors, unfinished / f"{part}.safetensors")
        names = [f"{part}.safetensors" for part in checkpoint.tensors]
        checksums = {name: sha256(unfinished / name) for name in names}
        header = {"format": FORMAT, "checksums": checksums}
        write_json(unfinished / "state.json", header | checkpoint.state)
        target = folder / f"step-{step:06d}"
        shutil.rmtree(target, ignore_errors=True)
        unfinished.rename(target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    for old in _steps(folder)[:-keep]:
        shutil.rmtree(old, ignore_errors=True)


def load(folder: Path) -> Checkpoint:
    """Read one checkpoint folder, checking every checksum.

    Raises:
        UserError: something in it is missing, damaged or of another format.
    """
    state = read_json(folder / "state.json")
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise UserError(f"{folder} is not a checkpoint of format {FORMAT}")
    checksums = state.get("checksums")
    if not isinstance(checksums, dict) or any(Path(name).name != name for name in checksums):
        raise UserError(f"{folder}/state.json has no valid checksums")
    tensors = {}
    for name, expected in checksums.items():
        loaded = load_tensors(folder / name)
        if sha256(folder / name) != expected:
            raise UserError(f"{folder / name} does not match its checksum")
        tensors[name.removesuffix(".safetensors")] = loaded
    return Checkpoint(tensors, state)


def newest(folder: Path, warn: Callable[[str], None] = lambda sentence: None) -> Checkpoint | None:
    """The newest checkpoint that is whole, or ``None``; ``warn`` hears of each damaged one."""
    for candidate in reversed(_steps(folder)):
        try:
            return load(candidate)
        except UserError as error:
            warn(f"{error}; going back to the checkpoint before it")
    return None


def _steps(folder: Path) -> list[Path]:
    """Checkpoint folders, oldest first."""
    found = folder.glob("step-*") if folder.is_dir() else ()
    numbered = {int(n): p for p in found if (n := p.name.removeprefix("step-")).isdigit()}
    return [numbered[step] for step in sorted(numbered)]
