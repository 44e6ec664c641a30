"""Reading documents from files of any size, a few at a time.

A corpus does not fit into memory, so its files are read block by block. They may be compressed
(``.xz``, ``.gz``), and hold either plain text with a separator between the documents, or one JSON
value per line (``.jsonl``): a text, or an object with the text in one of its fields. A text file
may also be one single document, of any length: ``read_stretches``.

Files are not trusted. Refused are a document longer than ``MAX_DOCUMENT`` (the separator is wrong
then), a compressed file that unpacks to more than ``MAX_UNPACKED`` or needs more memory than any
usual preset, and a file with bytes that are not text.
"""

from __future__ import annotations

import codecs
import gzip
import json
import lzma
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import BinaryIO, NoReturn

from glassmind.errors import UserError
from glassmind.tokenize.bpe.presplit import blocks

MAX_DOCUMENT = 64 << 20
"""Bytes of one document."""

MAX_UNPACKED = 64 << 30
"""Bytes that one packed file may unpack to."""

_MAX_MEMORY = 128 << 20  # for unpacking .xz; the largest preset (-9) needs 65 MiB
_BLOCK = 1 << 20
_MAX_STRETCH = 4 << 20  # characters without a place to cut


def read_documents(
    path: Path, separator: str, on_read: Callable[[int], object] = lambda n_bytes: None
) -> Iterator[str]:
    """The documents of a file, in order; blank ones are left out.

    In a text file they are separated by ``separator`` (not empty), and line ends around them are
    removed; in a ``.jsonl`` file the text is unchanged. ``on_read`` is called for each block with
    the number of bytes read from the (compressed) file.

    Raises ``UserError``, naming the file and the line or byte, if the file cannot be read.
    """
    for _, text in numbered_documents(path, separator, on_read):
        yield text


def numbered_documents(
    path: Path,
    separator: str,
    on_read: Callable[[int], object] = lambda n_bytes: None,
    fields: Sequence[str] = ("text",),
) -> Iterator[tuple[int, str]]:
    """``read_documents``, each with its number in the file (of a ``.jsonl``: the line), from 1.

    The text of a ``.jsonl`` line is in the first of ``fields`` that it has.
    """
    with readable(path):
        if is_jsonl(path):
            texts = _from_lines(path, _parts(path, b"\n", on_read), fields)
        else:
            between = separator.encode("utf-8")
            texts = _from_text(path, _parts(path, between, on_read), len(between))
        yield from ((number, text) for number, text in texts if text and not text.isspace())


def read_stretches(
    path: Path, on_read: Callable[[int], object] = lambda n_bytes: None
) -> Iterator[str]:
    """A text file as one document, in stretches of about a million characters.

    Each stretch ends at a certain cut of the pre-split (``presplit.blocks``), so their ids joined
    are the ids of the whole text. Text without such a place in millions of characters is cut
    anywhere. Raises as ``read_documents``.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    start, text = 0, ""
    with readable(path):
        for block in chain(unpacked(path, on_read), [b""]):
            pending = len(decoder.getstate()[0])
            try:
                more = decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                _refuse_byte(path, start - pending + error.start, error.object[error.start])
            _refuse_zero(path, more, start - pending)
            if start == 0:
                more = more.removeprefix("\ufeff")
            start += len(block)
            *whole, text = blocks(text + more)
            yield from whole
            if len(text) > _MAX_STRETCH:
                yield text
                text = ""
    if text:
        yield text


def unescaped(argument: str) -> str:
    r"""Resolves escapes such as ``\n``, which shells do not; ``ValueError`` for invalid text."""
    text = argument.encode("latin-1", "backslashreplace").decode("unicode_escape")
    text.encode("utf-8")  # a lone surrogate is no text
    return text


def plain_suffix(path: Path) -> str:
    """The suffix of a file's name, in lower case, without that of its compression."""
    return Path(path.name.lower().removesuffix(".xz").removesuffix(".gz")).suffix


def is_jsonl(path: Path) -> bool:
    """Whether a file holds one JSON value per line, judged by its name."""
    return plain_suffix(path) == ".jsonl"


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turns errors in reading ``path`` into ``UserError``."""
    try:
        yield
    except (EOFError, lzma.LZMAError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(
            f"{path} cannot be unpacked ({error}); it is damaged or not what its name says"
        ) from None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None


def _refuse_byte(path: Path, at: int, byte: int) -> NoReturn:
    raise UserError(
        f"{path} is not UTF-8 text (byte {at} is 0x{byte:02X}); convert it first, for example "
        "with iconv"
    ) from None


def _refuse_zero(path: Path, text: str, start: int) -> None:
    """Refuses the byte 0, which is valid UTF-8 but occurs in binary files only."""
    found = text.find("\0")
    if found >= 0:
        at = start + len(text[:found].encode("utf-8"))
        raise UserError(f"{path} is not text but binary (byte {at} is 0x00); give a text file")


def _from_text(path: Path, parts: Iterator[bytes], between: int) -> Iterator[tuple[int, str]]:
    start = 0  # of the part, in bytes of the unpacked file
    for number, part in enumerate(parts, 1):
        try:
            text = part.decode("utf-8")
        except UnicodeDecodeError as error:
            _refuse_byte(path, start + error.start, part[error.start])
        _refuse_zero(path, text, start)
        if start == 0:
            text = text.removeprefix("\ufeff")  # a byte order mark, which some editors write
        yield number, text.strip("\r\n")
        start += len(part) + between


def _from_lines(
    path: Path, lines: Iterator[bytes], fields: Sequence[str]
) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
        except (ValueError, RecursionError):  # wrong bytes are a ValueError too
            raise UserError(f"{path} line {number} is not JSON in UTF-8") from None
        text = value
        if isinstance(value, dict):
            text = next((value[field] for field in fields if field in value), None)
        if not isinstance(text, str):
            wanted = " or ".join(f'"{field}"' for field in fields)
            raise UserError(
                f"{path} line {number} holds no text; it must be a text, or an object with a "
                f"{wanted}"
            )
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            raise UserError(
                f"{path} line {number} holds half of a surrogate pair, which is not text"
            ) from None
        yield number, text


def _parts(path: Path, separator: bytes, on_read: Callable[[int], object]) -> Iterator[bytes]:
    """The documents between separators. Searching bytes is safe in UTF-8."""
    rest = b""
    for block in unpacked(path, on_read):
        *whole, rest = (rest + block).split(separator)
        if len(rest) > MAX_DOCUMENT:
            raise UserError(
                f"{path} has a document of more than {MAX_DOCUMENT >> 20} MiB; "
                f"is {separator.decode('utf-8')!r} the text between its documents?"
            )
        yield from whole
    yield rest


def unpacked(
    path: Path, on_read: Callable[[int], object] = lambda n_bytes: None
) -> Iterator[bytes]:
    """The file block by block; ``on_read`` is called with the number of bytes read."""
    unpack = {".xz": _unpack_xz, ".gz": _unpack_gz}.get(path.suffix.lower(), _blocks)
    so_far = read = 0
    with path.open("rb") as file:
        for block in unpack(file):
            on_read(file.tell() - read)
            read = file.tell()
            so_far += len(block)
            if so_far > MAX_UNPACKED and unpack is not _blocks:
                raise UserError(
                    f"{path} unpacks to more than {MAX_UNPACKED >> 30} GiB; split it into files"
                )
            if block:
                yield block


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    while block := file.read(_BLOCK):
        yield block


def _unpack_gz(file: BinaryIO) -> Iterator[bytes]:
    with gzip.GzipFile(fileobj=file) as unpacked:
        while block := unpacked.read(_BLOCK):
            yield block


def _unpack_xz(file: BinaryIO) -> Iterator[bytes]:
    """Like ``lzma.open``, which has no limit on the memory a file may ask for."""
    packed = file.read(_BLOCK)
    while packed:  # one round per stream: a file may be several, concatenated
        stream = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MAX_MEMORY)
        while not stream.eof:
            if stream.needs_input and not packed:
                packed = file.read(_BLOCK)
                if not packed:
                    raise EOFError("it ends too early")
            yield stream.decompress(packed, _BLOCK)
            packed = b""
        packed = (stream.unused_data or file.read(_BLOCK)).lstrip(b"\0")
