"""Documents out of files of any size, a few at a time.

A corpus is text that does not fit into memory, so its files are read block by block. They may be
packed (``.xz``, ``.gz``), and hold either plain text with a separator between the documents, or one
JSON value on each line (``.jsonl``): a text, or an object with the text in its field ``"text"``.

A file is not trusted. A document longer than ``MAX_DOCUMENT`` is refused (the separator is wrong
then), and so is a packed file that unpacks to more than ``MAX_UNPACKED`` or that asks for more
memory than anyone packs with.
"""

from __future__ import annotations

import gzip
import json
import lzma
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from glassmind.errors import UserError

MAX_DOCUMENT = 64 << 20
"""Bytes of one document."""

MAX_UNPACKED = 64 << 30
"""Bytes that one packed file may unpack to."""

_MAX_MEMORY = 128 << 20  # of unpacking .xz; the largest preset (-9) takes 65 MiB
_BLOCK = 1 << 20


def read_documents(
    path: Path, separator: str, on_read: Callable[[int], object] = lambda n_bytes: None
) -> Iterator[str]:
    """The documents of a file, in order; those of white space alone are left out.

    In a text file they stand between ``separator`` (not empty), and line ends around them do not
    count; in a ``.jsonl`` file the text is taken as it is. ``on_read`` is told how many bytes of
    the file (as it is, packed) have been read, block by block.

    Raises ``UserError`` naming the file, and the line or byte, for what cannot be read.
    """
    plain_name = path.name.lower().removesuffix(".xz").removesuffix(".gz")
    try:
        if plain_name.endswith(".jsonl"):
            texts = _from_lines(path, _parts(path, b"\n", on_read))
        else:
            between = separator.encode("utf-8")
            texts = _from_text(path, _parts(path, between, on_read), len(between))
        yield from (text for text in texts if text and not text.isspace())
    except (EOFError, lzma.LZMAError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(
            f"{path} cannot be unpacked ({error}); it is damaged or not what its name says"
        ) from None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None


def _from_text(path: Path, parts: Iterator[bytes], between: int) -> Iterator[str]:
    start = 0  # of the part, in bytes of the unpacked file
    for part in parts:
        try:
            text = part.decode("utf-8")
        except UnicodeDecodeError as error:
            byte = f"byte {start + error.start} is 0x{part[error.start]:02X}"
            raise UserError(
                f"{path} is not UTF-8 text ({byte}); convert it first, for example with iconv"
            ) from None
        if start == 0:
            text = text.removeprefix("\ufeff")  # a mark that some editors put before UTF-8
        yield text.strip("\r\n")
        start += len(part) + between


def _from_lines(path: Path, lines: Iterator[bytes]) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
        except (ValueError, RecursionError):  # wrong bytes are a ValueError too
            raise UserError(f"{path} line {number} is not JSON in UTF-8") from None
        text = value.get("text") if isinstance(value, dict) else value
        if not isinstance(text, str):
            raise UserError(
                f'{path} line {number} holds no text; it must be a text, or an object with a "text"'
            )
        yield text


def _parts(path: Path, separator: bytes, on_read: Callable[[int], object]) -> Iterator[bytes]:
    """What stands between the separators. In UTF-8 bytes can be cut as well as characters."""
    unpack = {".xz": _unpack_xz, ".gz": _unpack_gz}.get(path.suffix.lower(), _blocks)
    rest = b""
    unpacked = read = 0
    with path.open("rb") as file:
        for block in unpack(file):
            on_read(file.tell() - read)
            read = file.tell()
            unpacked += len(block)
            if unpacked > MAX_UNPACKED and unpack is not _blocks:
                raise UserError(
                    f"{path} unpacks to more than {MAX_UNPACKED >> 30} GiB; split it into files"
                )
            *whole, rest = (rest + block).split(separator)
            if len(rest) > MAX_DOCUMENT:
                raise UserError(
                    f"{path} has a document of more than {MAX_DOCUMENT >> 20} MiB; "
                    f"is {separator.decode('utf-8')!r} what stands between its documents?"
                )
            yield from whole
    yield rest


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    while block := file.read(_BLOCK):
        yield block


def _unpack_gz(file: BinaryIO) -> Iterator[bytes]:
    with gzip.GzipFile(fileobj=file) as unpacked:
        while block := unpacked.read(_BLOCK):
            yield block


def _unpack_xz(file: BinaryIO) -> Iterator[bytes]:
    """``lzma.open`` would do, but gives a file whatever memory it asks for."""
    packed = file.read(_BLOCK)
    while packed:  # one round for each of the streams that a file may be put together from
        stream = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MAX_MEMORY)
        while not stream.eof:
            if stream.needs_input and not packed:
                packed = file.read(_BLOCK)
                if not packed:
                    raise EOFError("it ends too early")
            yield stream.decompress(packed, _BLOCK)
            packed = b""
        packed = (stream.unused_data or file.read(_BLOCK)).lstrip(b"\0")
