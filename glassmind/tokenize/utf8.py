"""Bytes that are almost text: finding the valid UTF-8 runs.

Tokenizers split *text*, but their input may be any bytes: a truncated download, a file in another
encoding, a model's incomplete character. To round-trip those exactly, valid UTF-8 runs are encoded
as usual and each byte in between becomes a token of its own.

Python does the search: decoding with ``surrogateescape`` turns every byte that is not part of
valid UTF-8 into one of the code points U+DC80 to U+DCFF, which valid UTF-8 cannot contain.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_RUN = re.compile("([\udc80-\udcff]+)|[^\udc80-\udcff]+")
_ESCAPE_BASE = 0xDC00


def to_bytes(text: str) -> bytes:
    """UTF-8 of ``text``. Lone surrogates, which UTF-8 excludes, keep their three-byte pattern;
    those bytes are invalid UTF-8 and so become one token each."""
    return text.encode("utf-8", "surrogatepass")


def runs(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Cuts ``data`` into ``(text, b"")`` for valid runs and ``("", bad_bytes)`` between them.

    The concatenation of ``text.encode() + bad_bytes`` over all runs is ``data`` again.
    """
    for match in _RUN.finditer(data.decode("utf-8", "surrogateescape")):
        run = match.group()
        if match.group(1):
            yield "", bytes(ord(character) - _ESCAPE_BASE for character in run)
        else:
            yield run, b""
