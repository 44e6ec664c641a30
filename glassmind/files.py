"""Writing files atomically: a reader finds the old file or the new one, never half of either.

A process may be killed at any moment, and a disk may fill up. Files are therefore never written in
place. The content goes to a temporary file in the same folder, is flushed to the disk, and is then
renamed to its final name, which the operating system does in one step; then the folder is flushed,
too. If anything fails on the
way, the temporary file is deleted and the old file is untouched.

``atomic_write`` is for any kind of content: it yields the temporary path, and the block writes to
it. ``atomic_writes`` does the same for files that belong together, ``atomic_folder`` for a folder.
``write_text`` and ``write_json`` are the common cases. An error of the operating system inside
such a block is raised as a ``UserError`` that names the final path.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from glassmind.errors import UserError


@contextmanager
def atomic_write(path: Path, *, make_folder: bool = False) -> Iterator[Path]:
    """Yield a temporary path to write to; when the block ends, it is renamed to ``path``.

    The temporary file exists and is empty. ``make_folder`` creates missing parent folders.

    Raises:
        UserError: it cannot be written.
    """
    with atomic_writes(path, make_folder=make_folder) as (temporary,):
        yield temporary


@contextmanager
def atomic_writes(*paths: Path, make_folder: bool = False) -> Iterator[tuple[Path, ...]]:
    """``atomic_write`` for several files that are only valid together.

    Several renames are not one step, so the last path marks the set as complete: an old file there
    is deleted before any other is replaced, and the new one is put there after all others.

    Raises:
        UserError: one of them cannot be written.
    """
    temporaries: list[Path] = []
    try:
        modes = []
        for path in paths:
            if make_folder:
                path.parent.mkdir(parents=True, exist_ok=True)
            temporaries.append(_temporary(path))
            temporaries[-1].touch(exist_ok=False)
            modes.append(temporaries[-1].stat().st_mode & 0o777)
        yield tuple(temporaries)
        for temporary, mode in zip(temporaries, modes, strict=True):
            temporary.chmod(mode)  # some libraries, such as safetensors, make their files private
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
        if len(paths) > 1:
            paths[-1].unlink(missing_ok=True)
        for temporary, path in zip(temporaries, paths, strict=True):
            temporary.replace(path)
            sync_folder(path.parent)
    except OSError as error:
        raise UserError(f"cannot write {paths[0]}: {error.strerror or error}") from error
    finally:
        for temporary in temporaries:
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a new temporary folder to fill; when the block ends, it is renamed to ``path``.

    ``path`` must not exist, or be an empty folder. Missing parent folders are created.

    Raises:
        UserError: it cannot be written.
    """
    temporary = _temporary(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.mkdir()
        yield temporary
        for made in temporary.rglob("*"):
            if made.is_dir():
                sync_folder(made)
        sync_folder(temporary)
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def sync_folder(folder: Path) -> None:
    """Flush a folder's list of names to the disk: until then a power failure may undo a rename."""
    if os.name == "nt":  # which has no such call
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network file systems cannot
            raise
    finally:
        os.close(handle)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` atomically, as UTF-8 and with unchanged line ends."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def write_json(path: Path, value: object) -> None:
    """Write ``value``, which ``json.dumps`` must accept, to ``path`` atomically."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=1) + "\n")


def require_space(folder: Path, n_bytes: int) -> None:
    """Check that the disk of ``folder`` has room for ``n_bytes`` more, before writing starts.

    Raises:
        UserError: there is not enough room for them and a margin of 1 MiB.
    """
    free = shutil.disk_usage(folder).free
    if free < n_bytes + 2**20:
        raise UserError(
            f"the disk of {folder} has {free / 2**20:.0f} MiB free and "
            f"{n_bytes / 2**20 + 1:.0f} MiB are needed: make room, then continue with --resume"
        )


def _temporary(path: Path) -> Path:
    """A free name in the same folder, hence on the same disk; short even if the name is long."""
    return path.with_name(f".{path.name[:100]}.{secrets.token_hex(4)}")
