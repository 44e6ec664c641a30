"""Downloads one file over HTTP, resuming after interruptions, and verifies its digest.

Bytes are written to a part file whose name contains the digest of the whole, so that a download
that was interrupted, in this process or an earlier one, continues where it stopped and never with
another file. The file gets its name only if its digest is right at the end, whatever went wrong
before (a cut connection, a proxy's error page, a flipped bit on the disk).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx2
from huggingface_hub import get_session, hf_raise_for_status
from huggingface_hub.errors import HfHubHTTPError

from glassmind.errors import UserError

PAUSES = (1.0, 2.0, 4.0, 8.0)  # seconds before further attempts, as long as no byte arrives
SILENCE = 30.0  # seconds without a byte until a connection counts as broken
SLOW, PATIENCE = 1000, 60.0  # bytes a second; slower than that for so many seconds is broken, too
TRANSIENT = (408, 429, 500, 502, 503, 504)
_CHUNK = 1 << 20


@dataclass(frozen=True)
class RemoteFile:
    """A file at ``url``.

    ``digest`` is Git's: the SHA-256 of a large file (64 hexadecimal digits), or the SHA-1 of a
    small one with its length in front (40 digits).
    """

    url: str
    size: int
    digest: str


def part_of(path: Path, remote: RemoteFile) -> Path:
    """The part file of ``path``, used until the download is complete."""
    return path.with_name(f".{path.name}.{remote.digest[:16]}.part")


def is_there(path: Path, remote: RemoteFile) -> bool:
    """Whether ``path`` already is that file, by its size and digest."""
    return path.is_file() and path.stat().st_size == remote.size and _digest(path, remote)


def fetch(
    remote: RemoteFile,
    path: Path,
    headers: Mapping[str, str],
    arrived: Callable[[int], None],
) -> None:
    """Download to ``path``, resuming an earlier attempt.

    ``arrived`` is called after every piece with the number of bytes so far.

    Raises:
        UserError: the digest is wrong; the download is then deleted.
        httpx2.TransportError, HfHubHTTPError: the server cannot be reached, or refuses; the part
            file is kept.
    """
    part = part_of(path, remote)
    failures = 0
    while (there := _size(part)) < remote.size or not part.is_file():
        began = time.monotonic()
        problem: Exception = httpx2.RemoteProtocolError("the connection ended early")
        try:
            _receive(remote, part, there, headers, arrived)
        except HfHubHTTPError as error:
            if error.response.status_code not in TRANSIENT:
                raise
            problem = error
        except httpx2.TransportError as error:
            problem = error
        gained, seconds = _size(part) - there, time.monotonic() - began
        failures = 0 if gained > 0 and gained >= SLOW * seconds else failures + 1
        if failures > len(PAUSES):
            raise problem
        if failures and _size(part) < remote.size:
            time.sleep(PAUSES[failures - 1])
    if not _digest(part, remote):
        part.unlink()
        raise UserError(
            f"{path.name} arrived damaged: it does not have the digest {remote.digest[:16]}… that "
            "the hub announces for it; it was deleted, so run the same command again"
        )
    part.replace(path)


def _receive(
    remote: RemoteFile,
    part: Path,
    there: int,
    headers: Mapping[str, str],
    arrived: Callable[[int], None],
) -> None:
    """One attempt: append what the server sends after the first ``there`` bytes."""
    wanted = {**headers, "Accept-Encoding": "identity"}  # a compressed body has other offsets
    if there:
        wanted["Range"] = f"bytes={there}-"
    with get_session().stream("GET", remote.url, headers=wanted, timeout=SILENCE) as response:
        hf_raise_for_status(response)
        goes_on = response.status_code == 206 and there > 0
        done = there if goes_on else 0
        with part.open("ab" if goes_on else "wb") as file:
            began, before = time.monotonic(), done
            # Read as it arrives: waiting for pieces of a fixed size would lose part of one if the
            # connection is cut.
            for chunk in response.iter_bytes():
                seconds = time.monotonic() - began
                if seconds > PATIENCE:
                    if done - before < SLOW * seconds:
                        raise httpx2.ReadTimeout(f"less than {SLOW} bytes a second arrive")
                    began, before = time.monotonic(), done
                file.write(chunk[: remote.size - done])
                done = min(done + len(chunk), remote.size)
                arrived(done)


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _digest(path: Path, remote: RemoteFile) -> bool:
    """Whether the file has the right digest."""
    if len(remote.digest) == 64:
        sha = hashlib.sha256()
    else:
        sha = hashlib.sha1(f"blob {remote.size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            sha.update(chunk)
    return sha.hexdigest() == remote.digest
