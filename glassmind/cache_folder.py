"""A cache folder, for example for compiled code, that nobody else can write to.

It is ``glassmind/NAME`` below the user's cache folder: ``$XDG_CACHE_HOME``, or ``~/.cache`` if that
is not set. The variable must hold an absolute path; a relative one is ignored, as the XDG
specification asks, because it would depend on where a command is run.

A program trusts what it loads from such a folder. So the folder must belong to the user and is
closed to everybody else, and no folder above it may be writable by everybody, since somebody could
then put another folder in its place. ``is_private`` says whether a file in it is safe to load.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path


class NotPrivate(Exception):
    """There is no such folder and it cannot be made; the message says why, as the end of a
    sentence."""


def private_cache(name: str) -> Path:
    """The folder, made if it is missing.

    Raises:
        NotPrivate: there is no home, it cannot be made, or others could write to it.
    """
    base = Path(os.environ.get("XDG_CACHE_HOME") or "")
    if not base.is_absolute():
        try:
            base = Path.home() / ".cache"
        except RuntimeError:
            raise NotPrivate("this user has no home folder and XDG_CACHE_HOME is not set") from None
    base, folder = base.resolve(), base.resolve() / "glassmind" / name
    try:
        for part in (folder.parent, folder):
            part.mkdir(parents=True, exist_ok=True, mode=0o700)
            _close(part)
        for part in (base, *base.parents):
            mode = part.stat().st_mode
            if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
                raise NotPrivate(f"everybody can write to {part}")
    except OSError as error:
        raise NotPrivate(f"{folder} cannot be used ({error.strerror or error})") from None
    return folder


def is_private(path: Path) -> bool:
    """Whether a file or folder is the user's own and nobody else can write to it; false for a
    link."""
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode):
        return False
    return not hasattr(os, "geteuid") or (
        found.st_uid == os.geteuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    )


def _close(folder: Path) -> None:
    """Close the user's own folder to others. Files that they put there before are not
    ``is_private``."""
    found = folder.lstat()
    own = not hasattr(os, "geteuid") or found.st_uid == os.geteuid()
    if not stat.S_ISDIR(found.st_mode) or not own:
        raise NotPrivate(f"{folder} belongs to somebody else or is not a folder")
    if not is_private(folder):
        folder.chmod(0o700)
