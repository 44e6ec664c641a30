r"""Sources of pretraining text: files, folders, globs, and data sets of the Hub.

A corpus is read as a stream of *pieces*. Usually a piece is a document: a line of a ``.jsonl``, a
row of a ``.parquet``, the text between two separators of a text file. A text file without a
separator is one document of any length, read as pieces of about a million characters, cut where no
token could cross. Files may be compressed (``.gz``, ``.xz``) and are unpacked as they are read.
Errors name the file and the byte, line or row.

    find_texts("books")            every text in a folder, in the order of the names
    find_texts("books/*.txt.xz")   a glob
    find_texts("web.parquet")      one file
    find_texts("hub:NAME")         a data set of the Hub, streamed (``hub:NAME:CONFIGURATION``)
"""

from __future__ import annotations

import glob
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from glassmind.data.rows.parquet_rows import parquet_rows
from glassmind.errors import UserError
from glassmind.progress import Progress, Silent
from glassmind.tokenize.corpus.documents import (
    MAX_DOCUMENT,
    is_jsonl,
    numbered_documents,
    plain_suffix,
    read_stretches,
    unescaped,
)

SUFFIXES = (".txt", ".md", ".jsonl", ".parquet")
"""The files that are read from a folder (the first three also compressed)."""

HUB = "hub:"
MAX_JOINED = 64 << 20  # characters of a document that must be in memory as a whole


class Piece(NamedTuple):
    """A document, or a stretch of a long one.

    ``document`` is the document's index in the corpus, ``where`` its location for messages, and
    ``begins`` is true of a document's first piece.
    """

    text: str
    document: int
    where: str
    begins: bool = True


OnRead = Callable[[int], object]


@dataclass(frozen=True)
class Texts:
    """A corpus that can be read repeatedly; see ``find_texts``."""

    name: str
    files: tuple[Path, ...]
    fields: tuple[str, ...]
    separator: str

    def size(self) -> int:
        """Bytes of the files on disk; 0 for a data set of the Hub."""
        return sum(path.stat().st_size for path in self.files)

    def pieces(
        self, stage: str = "reading the text", progress: Progress | None = None
    ) -> Generator[Piece, None, None]:
        """Every document in order; blank ones are left out.

        ``progress`` shows the bytes read from the files, as ``stage``. Raises ``UserError`` for
        text that cannot be read, and for a corpus without text.
        """
        watcher = progress or Silent()
        done = 0

        def on_read(n_bytes: int) -> None:
            nonlocal done
            done += n_bytes
            watcher.update(done)

        watcher.start(stage, self.size(), "bytes")
        try:
            document = -1
            for text, where, begins in self._stretches(on_read):
                document += begins
                yield Piece(text, document, where, begins)
        finally:
            watcher.end()
        if document < 0:
            raise UserError(f"{self.name} is empty: give a text to learn from")

    def documents(
        self, stage: str = "reading the text", progress: Progress | None = None
    ) -> Generator[Piece, None, None]:
        """``pieces``, with every document whole.

        Raises ``UserError`` also for a document of more than 64 million characters.
        """
        parts: list[Piece] = []
        size = 0
        for piece in self.pieces(stage, progress):
            if piece.begins and parts:
                yield _joined(parts)
                parts, size = [], 0
            parts.append(piece)
            size += len(piece.text)
            if size > MAX_JOINED:
                raise UserError(
                    f"{piece.where} is one document of more than {MAX_JOINED >> 20} million "
                    "characters, too long to compare with others: set the separator to the text "
                    "between its documents"
                )
        yield _joined(parts)

    def _stretches(self, on_read: OnRead) -> Iterator[tuple[str, str, bool]]:
        """Text, place, and whether a document begins."""
        if self.name.startswith(HUB):
            yield from _from_hub(self.name, self.fields)
        for path in self.files:
            if plain_suffix(path) == ".parquet":
                yield from _from_parquet(path, self.fields, on_read)
            elif is_jsonl(path) or self.separator:
                unit = "line" if is_jsonl(path) else "document"
                documents = numbered_documents(path, self.separator, on_read, self.fields)
                for number, text in documents:
                    yield text, f"{path} {unit} {number}", True
            else:
                begins = True
                for text in read_stretches(path, on_read):
                    if begins and text.isspace():
                        continue
                    yield text, str(path), begins
                    begins = False


def find_texts(name: str, *, fields: Sequence[str] = ("text",), separator: str = "") -> Texts:
    r"""The corpus named ``name``: a file, a folder, a glob, or ``hub:NAME``.

    The text of a ``.jsonl`` line or a ``.parquet`` row is the first of ``fields`` that exists.
    ``separator`` separates the documents of a text file (escapes such as ``\n`` and ``\x1e`` are
    resolved); without one a file is one document.

    Raises:
        UserError: there is no such file, or the folder or glob has none.
    """
    try:
        separator = unescaped(separator)
    except (UnicodeDecodeError, UnicodeEncodeError) as error:
        raise UserError(f"the separator {separator!r} is not right ({error.reason})") from None
    path = Path(name)
    if name.startswith(HUB):
        files = []
    elif path.is_file():
        files = [path]
    elif path.is_dir():
        files = sorted(file for file in path.rglob("*") if _is_text(file.relative_to(path), file))
        if not files:
            raise UserError(
                f"the folder {name} holds no text: a text is a file that ends in "
                f"{', '.join(SUFFIXES)}, or in .gz or .xz after that"
            )
    elif glob.has_magic(name):
        # PTH207: Path.glob takes only patterns relative to a folder.
        files = sorted(Path(found) for found in glob.glob(name, recursive=True))  # noqa: PTH207
        files = [file for file in files if file.is_file()]
        if not files:
            raise UserError(f"no file matches {name}")
    else:
        raise UserError(f"there is no text file {name}")
    return Texts(name, tuple(files), tuple(fields), separator)


def _is_text(name: Path, file: Path) -> bool:
    hidden = any(part.startswith(".") for part in name.parts)
    packed_parquet = plain_suffix(file) == ".parquet" != file.suffix.lower()
    return not hidden and plain_suffix(file) in SUFFIXES and not packed_parquet and file.is_file()


def _joined(parts: Sequence[Piece]) -> Piece:
    """The document made of these pieces."""
    first = parts[0]
    return first if len(parts) == 1 else first._replace(text="".join(p.text for p in parts))


def _from_parquet(
    path: Path, fields: Sequence[str], on_read: OnRead
) -> Iterator[tuple[str, str, bool]]:
    """The texts of a parquet file: the first of ``fields`` that is a column of it."""

    def choose(columns: list[str]) -> list[str]:
        field = next((field for field in fields if field in columns), None)
        if field is None:
            raise UserError(
                f"{path} has no column {' or '.join(map(repr, fields))}; its columns are "
                f"{', '.join(columns[:12])}"
            )
        return [field]

    for row, values in parquet_rows(path, choose, on_read):
        ((field, text),) = values.items()
        if not isinstance(text, str):
            raise UserError(f"{path} row {row} holds no text in {field!r}")
        if len(text) > MAX_DOCUMENT:
            raise UserError(
                f"{path} row {row} holds more than {MAX_DOCUMENT >> 20} million characters; split "
                "it into documents"
            )
        if text and not text.isspace():
            yield text, f"{path} row {row}", True


def _from_hub(name: str, fields: Sequence[str]) -> Iterator[tuple[str, str, bool]]:
    """The training rows of a data set of the Hub, streamed."""
    try:
        from datasets import load_dataset  # type: ignore[import-not-found, unused-ignore]
    except ModuleNotFoundError:
        raise UserError(
            f"{name} needs the package datasets to be read: pip install 'glassmind[datasets]'"
        ) from None
    dataset, _, configuration = name.removeprefix(HUB).partition(":")
    try:
        rows = enumerate(
            load_dataset(dataset, configuration or None, split="train", streaming=True), 1
        )
        while (numbered := next(rows, None)) is not None:
            number, row = numbered
            text = next((row[field] for field in fields if field in row), None)
            if not isinstance(text, str):
                raise UserError(
                    f"{name} row {number} holds no text in {' or '.join(map(repr, fields))}; it "
                    f"has {', '.join(list(row)[:12])}"
                )
            if text and not text.isspace():
                yield text, f"{name} row {number}", True
    except (OSError, ValueError, RuntimeError) as error:  # the network, a wrong name, its files
        reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise UserError(f"{name} cannot be read from the Hub ({reason})") from None
