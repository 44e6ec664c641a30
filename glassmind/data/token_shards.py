"""Text, tokenized once: a shard is a file of ids that training reads without loading it.

``train.bin`` is nothing but little-endian integers, two bytes each where the vocabulary allows it;
``train.json`` beside it says what they are (type, count, tokenizer, checksum). The file is mapped
into memory: the operating system fetches the pages that a batch touches and forgets them when it
needs the room, so a corpus may be larger than the machine's memory. Documents stand one behind the
other, with the end token between them.

The description is written last and both appear whole, so a shard is there or it is not; one that
was damaged since, or made with another tokenizer, is told by ``open_shard`` and made again.
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

from glassmind.data.packing import PackedRows, stream
from glassmind.data.texts import Piece
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

BATCH = 1 << 18  # characters given to a process at once, if no piece is longer
_READ = 1 << 22
_CHECK_EVERY = 1 << 26  # bytes written between two looks at the disk


@dataclass(frozen=True)
class Shard:
    """What a shard's JSON says.

    ``count`` is of ids, end tokens included; ``documents``, ``characters`` and ``bytes`` (in UTF-8)
    are of the text without them. ``tokenizer`` is the tokenizer's fingerprint, ``checksum`` the
    BLAKE2b hash of the ids' bytes.
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
    """Encode ``pieces`` into ``target`` (``.bin``) and a ``.json`` beside it, both whole or absent.

    The first piece is taken to begin a document. ``end_of_document`` is the id between two of
    them: by default our own end token, and none where the tokenizer has no such.
    ``require_space(folder, bytes)`` is asked before the first batch is written, if it is known how
    many characters to expect, and now and then after; it refuses by raising. ``on_batch`` is told
    the ids written so far.

    Raises:
        UserError: the text cannot be read, or the file not be written.
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
    """Groups pieces for the workers, and counts them on the way.

    ``begins`` holds, for each batch handed out, which of its pieces begin a document.
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
    """What the shard at ``target`` says, or ``None`` where it is not whole or not for this one."""
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
    """The ids of a shard, still on the disk."""
    ids = np.memmap(target, np.dtype(shard.dtype).newbyteorder("<"), "r", shape=(shard.count,))
    return np.asarray(ids)  # the same memory without the subclass, which is slow to index


class TokenRows:
    """A long stream of ids as rows for pretraining, R rows of T tokens, cut on demand.

    ``take`` gives what ``packing.stream(ids, row_tokens).take`` gives and touches only the rows
    asked for; what all rows have in common is a view of one row. With ``end_of_document``, the id
    of the end token, each row tells its documents apart: attention and loss then stay within a
    document, and positions start over. Without it a row is one document, as GPT-3 was trained
    (Brown et al. 2020, arXiv 2005.14165), and the model learns by itself what the end token means.

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
            shape = ids.shape
            fields = {
                name: np.broadcast_to(getattr(self._row, name), shape)
                for name in PackedRows.__slots__
            }
            self._alike = PackedRows(**fields)
        taken = replace(self._alike, ids=ids)
        return taken if self._end is None else self._apart(taken, self._end)

    def _apart(self, rows: PackedRows, end: int) -> PackedRows:
        """The rows with their documents told apart; an end token belongs to what it ends."""
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
