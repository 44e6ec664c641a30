"""API keys.

A key is a secret that a client sends with every request. Keys come from a file, one per line, or
from the environment, never from the command line, which every process on a machine can read. Their
digests are compared in constant time, so that the time of a refusal does not reveal how much of a
guessed key is right.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Iterable
from pathlib import Path

from glassmind.errors import UserError

VARIABLE = "GLASSMIND_API_KEYS"
SHORTEST, LONGEST = 8, 512  # characters


class Keys:
    """A set of keys. An empty one accepts every client."""

    def __init__(self, keys: Iterable[str] = ()) -> None:
        self._digests = []
        for number, key in enumerate(keys, 1):
            if not (SHORTEST <= len(key) <= LONGEST and key.isascii() and key.isprintable()):
                raise UserError(
                    f"API key {number} must have {SHORTEST} to {LONGEST} printable ASCII characters"
                )
            self._digests.append(_digest(key))

    def __bool__(self) -> bool:
        return bool(self._digests)

    def owner(self, key: str) -> int | None:
        """The number of this key, from 0; ``None`` for a key that is not known."""
        given, found = _digest(key), None
        for number, digest in enumerate(self._digests):
            if hmac.compare_digest(given, digest):  # all are compared, without an early end
                found = number
        return found


def read_keys(path: Path | None) -> Keys:
    """The keys of a file, or of the environment variable ``GLASSMIND_API_KEYS``.

    A file has one key per line; white space around a key is ignored, and blank lines and lines
    that begin with ``#`` are skipped. In the variable, keys are separated by commas.

    Raises:
        UserError: the file holds no key, or a key is too short or too long.
    """
    if path is None:
        given = os.environ.get(VARIABLE, "").split(",")
        return Keys(key.strip() for key in given if key.strip())
    try:
        lines = path.read_text("utf-8").splitlines()
    except UnicodeDecodeError:
        raise UserError(f"{path} is not a text file of API keys, one per line") from None
    stripped = [line.strip() for line in lines]
    keys = [line for line in stripped if line and not line.startswith("#")]
    if not keys:
        raise UserError(f"{path} holds no API key: write one per line")
    return Keys(keys)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
