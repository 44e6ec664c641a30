"""Text, tokenized once: a shard is a file of ids that training maps into memory.

``train.bin`` contains little-endian integers, two bytes each if the vocabulary is small enough;
``train.json`` next to it describes them (type, count, tokenizer, checksum). The file is mapped into
memory: the operating system loads the pages that a batch touches and may evict them, so a corpus
may be larger than the machine's memory. Documents follow one another, with the end token between
them.

The description is written last and both files are written atomically, so a shard is complete or
absent. ``open_shard`` detects one that is damaged or made with another tokenizer, and it is then
made again.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from glassmind.data.batches.packing import PackedRows, stream
from glassmind.data.pretraining.texts import Piece
from glassmind.errors import UserError
from glassmind.files import atomic_writes
from glassmind.serialization import encode, read_record
from glassmind.tokenize import Tokenizer
from glassmind.tokenize.corpus.bulk import (
    Batch,
    Encoder,
    encode_all,
    id_type,
    tokenizer_mark,
)
from glassmind.tokenize.special import END

BATCH = 1 << 18  # characters given to a worker at once, if no piece is longer
_READ = 1 << 22
_CHECK_EVERY = 1 << 26  # bytes written between two checks of the free space


@dataclass(frozen=True)
class Shard:
    """The contents of a shard's JSON.

    ``count`` is the number of ids, including end tokens; ``documents``, ``characters`` and
    ``bytes`` (in UTF-8) describe the text without them. ``tokenizer`` is the tokenizer's
    fingerprint, ``checksum`` the BLAKE2b hash of the ids' bytes.
    """

    dtype: str
    count: int
    documents: int
    characters: int
    bytes: int
    tokenizer: str
    end_of_document: int | None
    checksum: str

    def __post_init__(self) -> None:
        if self.dtype not in ("uint16", "uint32"):
            raise ValueError("dtype must be uint16 or uint32")


def write_shard(
    target: Path,
    pieces: Iterable[Piece],
    tokenizer: Tokenizer,
    *,
    end_of_document: int | None = None,
    workers: int = 1,
    expected_characters: int = 0,
    require_space: Callable[[Path, int], None],
    on_batch: Callable[[int], object] = lambda count: None,
) -> Shard:
    """Encode ``pieces`` into ``target`` (``.bin``) and a ``.json`` next to it, atomically.

    The first piece must begin a document. ``end_of_document`` is the id between two documents: by
    default our own end token, or none if the tokenizer has none. ``require_space(folder,
    bytes)`` is called before the first batch is written, if the number of characters is known, and
    repeatedly after; it raises if the space is too small. ``on_batch`` receives the number of ids
    written so far.

    Raises:
        UserError: the text cannot be read, or the file cannot be written.
    """
    end = tokenizer.special.get(END) if end_of_document is None else end_of_document
    encoder = Encoder(tokenizer, id_type(tokenizer), None)
    dtype = np.dtype(encoder.dtype).newbyteorder("<")
    counter = _Counter()
    checksum = hashlib.blake2b(digest_size=16)
    count = checked = 0
    with (
        atomic_writes(target, target.with_suffix(".json"), make_folder=True) as (
            new_ids,
            new_facts,
        ),
        new_ids.open("wb") as ids_file,
        new_facts.open("wb") as facts_file,
    ):
        for encoded in encode_all(encoder, counter.batches(pieces), workers):
            begins = counter.begins.popleft()
            ids = np.frombuffer(encoded.ids, dtype)
            if end is not None:
                starts = np.cumsum([0, *encoded.lengths[:-1]])[begins]
                ids = np.insert(ids, starts if count else starts[1:], end)
            data = ids.tobytes()
            if count == 0 and expected_characters:
                share = len(data) / max(1, encoded.read)  # bytes of ids for a character
                require_space(target.parent, int(share * expected_characters))
            if len(data) + count * dtype.itemsize >= checked + _CHECK_EVERY:
                checked = count * dtype.itemsize
                require_space(target.parent, len(data) + _CHECK_EVERY)
            ids_file.write(data)
            checksum.update(data)
            count += len(ids)
            on_batch(count)
        shard = Shard(
            dtype=encoder.dtype,
            count=count,
            documents=counter.documents,
            characters=counter.characters,
            bytes=counter.bytes,
            tokenizer=tokenizer_mark(tokenizer),
            end_of_document=end,
            checksum=checksum.hexdigest(),
        )
        facts_file.write(json.dumps(encode(shard), indent=1).encode("ascii") + b"\n")
    return shard


class _Counter:
    """Groups pieces into batches for the workers, and counts them.

    ``begins`` holds, for each batch, which of its pieces begin a document.
    """

    def __init__(self) -> None:
        self.begins: deque[NDArray[np.bool_]] = deque()
        self.documents = self.characters = self.bytes = 0

    def batches(self, pieces: Iterable[Piece]) -> Iterator[Batch]:
        texts: list[str] = []
        begins: list[bool] = []
        size = 0
        for piece in pieces:
            texts.append(piece.text)
            begins.append(piece.begins or self.documents == 0)
            size += len(piece.text)
            self.documents += begins[-1]
            self.bytes += len(piece.text.encode("utf-8", "surrogatepass"))
            if size >= BATCH:
                yield self._batch(texts, begins, size)
                texts, begins, size = [], [], 0
        if texts:
            yield self._batch(texts, begins, size)

    def _batch(self, texts: list[str], begins: list[bool], size: int) -> Batch:
        self.characters += size
        self.begins.append(np.array(begins))
        return Batch(texts, self.characters)


def open_shard(target: Path, tokenizer: Tokenizer) -> Shard | None:
    """The facts of the shard at ``target``; ``None`` if incomplete or for another tokenizer."""
    try:
        shard = read_record(Shard, target.with_suffix(".json"), unknown_keys="refuse")
        size = np.dtype(shard.dtype).itemsize * shard.count
        if shard.tokenizer != tokenizer_mark(tokenizer) or target.stat().st_size != size:
            return None
        checksum = hashlib.blake2b(digest_size=16)
        with target.open("rb") as file:
            while block := file.read(_READ):
                checksum.update(block)
    except (OSError, UserError):
        return None
    return shard if checksum.hexdigest() == shard.checksum else None


def mapped_ids(target: Path, shard: Shard) -> NDArray[np.integer]:
    """The ids of a shard, mapped from disk."""
    ids = np.memmap(target, np.dtype(shard.dtype).newbyteorder("<"), "r", shape=(shard.count,))
    return np.asarray(ids)  # the same memory without the subclass, which is slow to index


class TokenRows:
    """A long stream of ids as rows for pretraining, R rows of T tokens, cut on demand.

    ``take`` returns the same as ``packing.stream(ids, row_tokens).take`` and reads only the chosen
    rows; columns that all rows share are views of one row. With ``end_of_document``, the id of the
    end token, rows are divided into documents: attention and loss stay within a document, and
    positions restart. Without it a row is one document, as GPT-3 was trained (Brown et al. 2020,
    arXiv 2005.14165), and the model learns what the end token means.

    Raises:
        UserError: the stream is too short for one row.
    """

    def __init__(
        self, ids: NDArray[np.integer], row_tokens: int, *, end_of_document: int | None = None
    ) -> None:
        n_rows = len(ids) // row_tokens
        self._row = stream(np.asarray(ids[:row_tokens], np.int32), row_tokens)
        self._ids = ids[: n_rows * row_tokens].reshape(n_rows, row_tokens)
        self._end = end_of_document
        self._alike: PackedRows | None = None  # as many rows as were taken last

    def __len__(self) -> int:
        return len(self._ids)

    def take(self, rows: NDArray[np.int64] | slice) -> PackedRows:
        """The chosen rows."""
        ids = self._ids[rows].astype(np.int32)
        if self._alike is None or len(self._alike) != len(ids):
            self._alike = self._row.each(lambda array: np.broadcast_to(array, ids.shape))
        taken = replace(self._alike, ids=ids)
        return taken if self._end is None else self._apart(taken, self._end)

    def _apart(self, rows: PackedRows, end: int) -> PackedRows:
        """The rows divided into documents; an end token belongs to the document it ends."""
        first = np.zeros(rows.ids.shape, np.bool_)
        first[:, 1:] = rows.ids[:, :-1] == end
        columns = self._row.positions
        begun = np.maximum.accumulate(np.where(first, columns, 0), axis=1)
        return replace(
            rows,
            documents=1 + first.cumsum(axis=1, dtype=np.int16),
            positions=columns - begun,
            previous=np.maximum(columns - 1, begun),
        )
