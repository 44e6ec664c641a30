"""Checkpoints: tensors as safetensors, everything else as JSON, nothing pickled.

A checkpoint is a folder ``step-000300`` with a ``.safetensors`` file for each part (``model``,
``optimizer``) and ``state.json``, which also holds each file's SHA-256 and its own. It is written
under another name and renamed when complete; ``newest`` skips, and reports, one that was damaged
afterwards. Beside the newest ones, one ``best-000250`` may be kept.

``Writer`` writes in the background: a training step waits only until the tensors are copied.
"""

from __future__ import annotations

import copy
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from glassmind.errors import UserError
from glassmind.files import atomic_write, require_space
from glassmind.runs import distributed_checkpoint
from glassmind.runs.checkpoint_state import FORMAT, has_its_checksum, put_in_place, write_state
from glassmind.serialization import read_json

READABLE = (2, FORMAT)  # format 2 had no checksum of its state
Kind = Literal["step", "best"]


class OtherVersion(UserError):
    """A checkpoint that another version wrote. It is not damaged, so it must not be skipped."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """``tensors[part][name]`` and the JSON-able ``state`` of one moment."""

    tensors: dict[str, dict[str, Tensor]]
    state: dict[str, Any]

    @property
    def n_bytes(self) -> int:
        parts = self.tensors.values()
        return sum(t.numel() * t.element_size() for part in parts for t in part.values())

    def copy(self) -> Checkpoint:
        """A copy on the CPU, which further training does not change."""
        parts = {
            part: {name: t.detach().to("cpu", copy=True) for name, t in tensors.items()}
            for part, tensors in self.tensors.items()
        }
        return Checkpoint(parts, copy.deepcopy(self.state))


def save_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors to a safetensors file atomically; shared ones must be given once."""
    require_space(path.parent, sum(t.numel() * t.element_size() for t in tensors.values()))
    contiguous = {name: t.detach().contiguous().cpu() for name, t in tensors.items()}
    with atomic_write(path) as temporary:
        try:
            safetensors.torch.save_file(contiguous, temporary)
        except SafetensorError as error:  # the library reports a full disk, for example, this way
            raise UserError(f"cannot write {path}: {error}") from None


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file.

    Raises:
        UserError: it is missing, truncated, or not a safetensors file.
    """
    if not path.is_file():
        raise UserError(f"{path} is missing")
    try:
        return safetensors.torch.load_file(path)
    except (SafetensorError, ValueError, OSError) as error:
        reason = str(error)[:200]  # it may repeat what it could not read
        raise UserError(f"{path} is damaged or not a safetensors file ({reason})") from None


def sha256(path: Path) -> str:
    """Checksum of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def save(folder: Path, step: int, checkpoint: Checkpoint, keep: int, kind: Kind = "step") -> None:
    """Write ``checkpoint`` as ``folder/step-…`` and delete all but the ``keep`` newest."""
    folder.mkdir(parents=True, exist_ok=True)
    require_space(folder, checkpoint.n_bytes)
    unfinished = folder / f".unfinished-{os.getpid()}"
    for abandoned in folder.glob(".unfinished-*"):  # left by a process that was killed
        shutil.rmtree(abandoned, ignore_errors=True)
    unfinished.mkdir()
    try:
        for part, tensors in checkpoint.tensors.items():
            save_tensors(tensors, unfinished / f"{part}.safetensors")
        names = [f"{part}.safetensors" for part in checkpoint.tensors]
        checksums = {name: sha256(unfinished / name) for name in names}
        write_state(unfinished, checkpoint.state | {"checksums": checksums})
        put_in_place(unfinished, folder / name_of(step, kind))
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    prune(folder, keep, kind, step)


def name_of(step: int, kind: Kind = "step") -> str:
    """What the folder of a checkpoint is called."""
    return f"{kind}-{step:06d}"


def prune(folder: Path, keep: int, kind: Kind, step: int) -> None:
    """Delete the checkpoints of a kind before the ``keep`` newest up to ``step``.

    One with a higher number is what training went back from, because it is damaged, or a stranger:
    it must not push out those that are good.
    """
    present = [path for number, path in _numbered(folder, kind) if number <= step]
    for old in present[:-keep]:
        shutil.rmtree(old, ignore_errors=True)


class Writer:
    """Writes checkpoints below ``folder``, one after the other, in a thread of its own.

    An error there is raised by the next call.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._pending: list[Future[None]] = []

    def write(self, step: int, checkpoint: Checkpoint, keep: int, kind: Kind = "step") -> None:
        """Copy ``checkpoint`` and return. An earlier one may still be written at that time."""
        while len(self._pending) > 1:
            self._pending.pop(0).result()
        copied = checkpoint.copy()
        self._pending.append(self._thread.submit(save, self.folder, step, copied, keep, kind))

    def wait(self) -> None:
        """Return when everything is written."""
        while self._pending:
            self._pending.pop(0).result()


def load(folder: Path) -> Checkpoint:
    """Read one checkpoint folder, checking every checksum.

    Raises:
        UserError: something in it is missing, damaged or of another format.
    """
    state = header(folder)
    check(folder, state, state["checksums"])
    if state.get("sharded"):
        return Checkpoint(distributed_checkpoint.read_shards(folder), state)
    files = {name.removesuffix(".safetensors"): folder / name for name in state["checksums"]}
    return Checkpoint({part: load_tensors(path) for part, path in files.items()}, state)


def header(folder: Path) -> dict[str, Any]:
    """A checkpoint's state, without the tensors.

    Raises:
        UserError: it is not a checkpoint of this format.
    """
    state = read_json(folder / "state.json", nonfinite="keep")
    written = state.get("format") if isinstance(state, dict) else None
    if not isinstance(written, int):
        raise UserError(f"{folder} is not a checkpoint")
    if written not in READABLE:
        age = "a newer" if written > FORMAT else "an older"
        raise OtherVersion(
            f"{folder} was written by {age} version of Glassmind (format {written}, and this one "
            f"reads {FORMAT}): continue with that version, or start again in another folder"
        )
    checksums = state.get("checksums")
    if not isinstance(checksums, dict) or any(Path(name).name != name for name in checksums):
        raise UserError(f"{folder}/state.json has no valid checksums")
    if written > 2 and not has_its_checksum(state):
        raise UserError(f"{folder}/state.json does not match its checksum")
    return state


def check(folder: Path, state: dict[str, Any], names: Iterable[str]) -> None:
    """Compare the named files with their checksums.

    Raises:
        UserError: one is missing or was changed.
    """
    for name in names:
        if not (folder / name).is_file():
            raise UserError(f"{folder / name} is missing")
        if sha256(folder / name) != state["checksums"][name]:
            raise UserError(f"{folder / name} does not match its checksum")


def newest(
    folder: Path,
    warn: Callable[[str], None] = lambda sentence: None,
    kind: Kind = "step",
    read: Callable[[Path], Checkpoint] = load,
) -> Checkpoint | None:
    """The newest undamaged checkpoint, or ``None``; ``warn`` gets a sentence on each damaged one.

    Raises:
        OtherVersion: the newest was written by another version.
    """
    candidates = [path for _, path in _numbered(folder, kind)]
    while candidates:
        try:
            return read(candidates.pop())
        except OtherVersion:
            raise
        except UserError as error:
            remedy = "going back to the checkpoint before it" if candidates else "starting over"
            warn(f"{error}; {remedy}")
    return None


def _numbered(folder: Path, kind: Kind) -> list[tuple[int, Path]]:
    """Step and folder of the checkpoints of a kind, oldest first; what is named otherwise is none
    of ours."""
    found = folder.iterdir() if folder.is_dir() else ()
    named = re.compile(rf"{kind}-([0-9]{{6,15}})")
    numbered = [(int(match[1]), path) for path in found if (match := named.fullmatch(path.name))]
    return sorted((n, path) for n, path in numbered if path.name == name_of(n, kind))
