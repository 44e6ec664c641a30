"""A stream of JSON values: the lines of a JSONL file, or the elements of one JSON list.

The file may be compressed (``.gz``, ``.xz``) and is not trusted: a few kilobytes of gzip can hold a
gigabyte of ``[],``, of which every three characters become a list of 56 bytes. So the file is
unpacked and parsed piece by piece, with only one row in memory at a time, and the size of a row is
limited.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any, NoReturn

from glassmind.data.rows.bad_rows import BadRow
from glassmind.errors import UserError
from glassmind.tokenize.corpus.documents import readable, unpacked

MAX_ROW = 4 << 20
"""A longer row (in characters) is refused."""

_SPACE = " \t\r\n"
_NOT_TEXT = "holds half of a surrogate pair, which is not text"
_NOT_UTF8 = re.compile("[\udc80-\udcff]")


def json_rows(path: Path) -> Iterator[tuple[Any, str] | BadRow]:
    """Every value, with its place for error messages; blank lines are left out.

    A line that is too long, is not JSON, or holds invalid text is a ``BadRow``, and reading
    continues with the next line. A file with a single object over several lines has one row.

    Raises:
        UserError: the file cannot be read or unpacked, or is not UTF-8; or invalid JSON is not on a
            line of its own, so that the rest cannot be read.
    """
    with readable(path):
        text = _Text(path)
        first = text.skip(_SPACE)
        for found in _rows(text, path, first):
            if isinstance(found, BadRow) or _is_text(found[0]):
                yield found
            else:
                yield BadRow(found[1], _NOT_TEXT)


def _rows(text: _Text, path: Path, first: str) -> Iterator[tuple[Any, str] | BadRow]:
    if first == "[":
        yield from _elements(text)
    elif first == "{" and _goes_on(text):
        where = f"{path} object 1"
        yield _element(text, where), where
        if text.skip(_SPACE):
            raise UserError(
                f"{path} continues after its first object; give one object per line, or one list"
            )
    else:
        yield from _lines(text)


def require_text(row: Any, where: str) -> None:
    r"""Raise ``UserError`` for half of a surrogate pair (``"\ud83d"``). JSON can spell it, but it
    is not text, and no tokenizer can encode it."""
    if not _is_text(row):
        raise UserError(f"{where} {_NOT_TEXT}")


def _is_text(row: Any) -> bool:
    try:
        json.dumps(row, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


class _Text:
    """The text of a file; only the part that is being parsed is in memory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rest, self.at = "", 0  # rest[at:] is read but not yet parsed
        self.ended = False
        self._texts = self._decoded()

    def more(self) -> bool:
        """Read another piece; returns false at the end of the file."""
        piece = next(self._texts, None)
        self.ended = piece is None
        self.rest, self.at = self.rest[self.at :] + (piece or ""), 0
        return not self.ended

    def skip(self, characters: str) -> str:
        """The next character that is none of these, or an empty string at the end."""
        while True:
            while self.at < len(self.rest):
                if self.rest[self.at] not in characters:
                    return self.rest[self.at]
                self.at += 1
            if not self.more():
                return ""

    def _decoded(self) -> Iterator[str]:
        # Bytes that are not UTF-8 become lone surrogates, which do not occur in UTF-8 text. So only
        # the rows with such bytes are bad, and the others can be read.
        decoder = codecs.getincrementaldecoder("utf-8-sig")("surrogateescape")
        for block in chain(unpacked(self.path), [b""]):
            yield decoder.decode(block, final=not block)


def _elements(text: _Text) -> Iterator[tuple[Any, str]]:
    """The elements of the list that begins at the next character."""
    text.at += 1
    number = 0
    while text.skip(_SPACE) != "]" or number:
        number += 1
        where = f"{text.path} element {number}"
        text.skip(_SPACE)
        yield _element(text, where), where
        if text.skip(_SPACE) == "]":
            break
        if text.skip(_SPACE) != ",":
            raise UserError(f"{where} is not followed by a comma or the end of the list")
        text.at += 1
    text.at += 1
    if text.skip(_SPACE):
        raise UserError(f"{text.path} continues after the end of its list; put all rows into it")


def _element(text: _Text, where: str) -> Any:
    """The value that begins here; it is parsed again whenever more of it had to be read."""
    while True:
        try:
            value, end = _DECODER.raw_decode(text.rest, text.at)
            if end < len(text.rest) or text.ended:  # otherwise a number might continue
                if _NOT_UTF8.search(text.rest, text.at, end):
                    raise UserError(f"{where} is not UTF-8 text; save the file as UTF-8")
                text.at = end
                return value
        except (ValueError, RecursionError) as error:
            if not isinstance(error, json.JSONDecodeError) or text.ended:
                raise UserError(f"{where} is not JSON: {_reason(error)}") from None
        if len(text.rest) - text.at > MAX_ROW:
            raise UserError(
                f"{where} is not JSON, or longer than {MAX_ROW >> 20} million characters"
            )
        text.more()


def _goes_on(text: _Text) -> bool:
    """Whether the object that begins here is incomplete at the end of its line."""
    while (end := text.rest.find("\n", text.at)) < 0 and len(text.rest) - text.at <= MAX_ROW:
        if not text.more():
            return False
    opened = text.rest[text.at : end]
    return end >= 0 and opened.rstrip().endswith(("{", ",", "[", ":"))


def _lines(text: _Text) -> Iterator[tuple[Any, str] | BadRow]:
    number = 0
    while not text.ended or text.at < len(text.rest):
        end = text.rest.find("\n", text.at)
        where = f"{text.path} line {number + 1}"
        if (len(text.rest) if end < 0 else end) - text.at > MAX_ROW:
            number += 1
            yield BadRow(where, f"is longer than {MAX_ROW >> 20} million characters")
            _skip_line(text)
            continue
        if end < 0 and text.more():
            continue
        line = text.rest[text.at : end if end >= 0 else len(text.rest)]
        text.at += len(line) + (end >= 0)
        number += 1
        if _NOT_UTF8.search(line):
            yield BadRow(where, "is not UTF-8 text; save the file as UTF-8")
        elif line.strip():
            try:
                yield _DECODER.decode(line), where
            except (ValueError, RecursionError):
                yield BadRow(where, "is not JSON; give one object per line, or one list")


def _skip_line(text: _Text) -> None:
    while (end := text.rest.find("\n", text.at)) < 0:
        text.at = len(text.rest)
        if not text.more():
            return
    text.at = end + 1


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return error.msg if isinstance(error, json.JSONDecodeError) else str(error)[:100]


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)
