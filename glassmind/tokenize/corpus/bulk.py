"""A corpus as one file of ids, encoded on all cores.

Training reads ids by the million, so they are computed once and stored in the simplest format: a
``.bin`` file of little-endian integers, two bytes each where the vocabulary allows it, which can be
mapped into memory and read from any offset. A small JSON file next to it has the integer type, the
tokenizer's fingerprint and the offsets of the documents.

Text is streamed: the files are read a few documents at a time (``documents.py``), encoded by
worker processes and written in order. Memory use is a few megabytes per worker and eight bytes per
document, however large the corpus.
"""

from __future__ import annotations

import json
import os
import signal
from array import array
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from glassmind.errors import UserError
from glassmind.files import atomic_writes
from glassmind.progress import Progress, Silent
from glassmind.tokenize.base import Tokenizer
from glassmind.tokenize.corpus.documents import read_documents
from glassmind.tokenize.tokenizer_json import SavedTokenizer, fingerprint

_BATCH = 1 << 20  # characters that a worker is given at once, if no document is longer
_MOST_SMALL_IDS = 1 << 16


@dataclass(frozen=True)
class CorpusFacts:
    """What ``tokenize_corpus`` made.

    ``path`` is the file of ids, ``facts_path`` the JSON next to it, ``dtype`` the ids' type as
    numpy names it, ``tokens`` and ``documents`` are counts, and ``fingerprint`` identifies the
    tokenizer.
    """

    path: Path
    facts_path: Path
    dtype: str
    tokens: int
    documents: int
    fingerprint: str


def tokenize_corpus(
    files: Sequence[Path],
    tokenizer: Tokenizer,
    target: Path,
    *,
    separator: str = "\n\n",
    end_of_document: int | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> CorpusFacts:
    """Encode the documents of ``files``, in order, into ``target`` and a ``.json`` next to it.

    For the kinds of files and the ``separator`` see ``read_documents``. ``end_of_document`` is the
    id written after each document, if any; ``workers`` the number of processes, by default one per
    core (fewer for little text). The JSON has
    ``dtype`` (``"uint16"`` or ``"uint32"``), ``count`` (of ids), ``tokenizer`` (its fingerprint),
    ``end_of_document`` and ``document_offsets`` (where each document begins, in ids).

    Both files are written completely or not at all. Raises ``UserError`` for a file that cannot be
    read or written, for files without a document, and for an invalid ``end_of_document``.
    """
    facts_path = target.with_suffix(".json")
    if not separator:
        raise UserError("the separator between documents is empty; give the text between them")
    if target == facts_path or target.is_dir():
        raise UserError(f"cannot write the ids to {target}; name a file, as in corpus.bin")
    if target in files or facts_path in files:
        raise UserError(f"{target} is one of the texts; the ids need a file of their own")
    if end_of_document is not None and not 0 <= end_of_document < tokenizer.vocab_size:
        raise UserError(
            f"the end of a document cannot be the id {end_of_document}: ids run from 0 to "
            f"{tokenizer.vocab_size - 1}"
        )
    dtype = id_type(tokenizer)
    total = sum(_size(path) for path in files)
    if workers is None:
        workers = max(1, min(cores(), total // _BATCH))
    progress = progress or Silent()
    progress.start("tokenizing", total, "bytes")

    encoder = Encoder(tokenizer, dtype, end_of_document)
    starts = array("q")
    count = 0
    with (
        atomic_writes(target, facts_path, make_folder=True) as (new_ids, new_facts),
        new_ids.open("wb") as ids_file,
        new_facts.open("wb") as facts_file,
    ):
        for encoded in encode_all(encoder, _batches(files, separator), workers):
            ids_file.write(encoded.ids)
            for length in encoded.lengths:
                starts.append(count)
                count += length
            progress.update(encoded.read, tokens=count)
        if not starts:
            names = ", ".join(map(str, files)) or "no file"
            raise UserError(f"there is no document in {names}; a corpus is made from text")
        head = {
            "schema": 1,
            "dtype": dtype,
            "count": count,
            "tokenizer": tokenizer_mark(tokenizer),
            "end_of_document": end_of_document,
        }
        _write_facts(facts_file, head, starts)
    progress.end(f"{count} tokens of {len(starts)} documents")
    return CorpusFacts(target, facts_path, dtype, count, len(starts), tokenizer_mark(tokenizer))


def id_type(tokenizer: Tokenizer) -> str:
    """The smallest type, as numpy names it, that holds every id: uint16 or uint32."""
    return "uint16" if tokenizer.vocab_size <= _MOST_SMALL_IDS else "uint32"


class Batch(NamedTuple):
    """Some documents; ``read`` counts the bytes of all files read up to their end."""

    texts: list[str]
    read: int


class Encoded(NamedTuple):
    """The ids of a batch, ready to be written, and the number of ids of each document."""

    ids: bytes
    lengths: list[int]
    read: int


@dataclass(frozen=True)
class Encoder:
    """The task of a worker."""

    tokenizer: Tokenizer
    dtype: str
    end_of_document: int | None

    def encode(self, batch: Batch) -> Encoded:
        documents = self.tokenizer.encode_batch(batch.texts)
        if self.end_of_document is not None:
            for ids in documents:
                ids.append(self.end_of_document)
        little_endian = np.dtype(self.dtype).newbyteorder("<")
        data = b"".join(np.array(ids, dtype=little_endian).tobytes() for ids in documents)
        return Encoded(data, [len(ids) for ids in documents], batch.read)


def _batches(files: Sequence[Path], separator: str) -> Iterator[Batch]:
    """The documents of all files, about ``_BATCH`` characters of them at a time."""
    read = 0

    def count(n_bytes: int) -> None:
        nonlocal read
        read += n_bytes

    texts: list[str] = []
    size = 0
    for path in files:
        for text in read_documents(path, separator, count):
            texts.append(text)
            size += len(text)
            if size >= _BATCH:
                yield Batch(texts, read)
                texts, size = [], 0
    if texts:
        yield Batch(texts, read)


def encode_all(encoder: Encoder, batches: Iterator[Batch], workers: int) -> Iterator[Encoded]:
    """Every batch encoded, in order; each worker has at most two batches at a time."""
    if workers == 1:
        yield from map(encoder.encode, batches)
        return
    # Fresh processes rather than copies of this one, which may have threads.
    pool = ProcessPoolExecutor(workers, get_context("spawn"), _begin_work, (encoder,))
    under_way: deque[Future[Encoded]] = deque()
    try:
        for batch in batches:
            with _interrupts_wait():  # this starts the workers
                under_way.append(pool.submit(_work, batch))
            if len(under_way) >= 2 * workers:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    except BrokenProcessPool:
        raise UserError(
            "a process that encodes text was ended from outside, perhaps for want of memory; use "
            "fewer workers"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _interrupts_wait() -> Iterator[None]:
    """Delay Ctrl-C until the end of the block; processes started in it never receive it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin_work(encoder: Encoder) -> None:
    """Prepare a worker. Ctrl-C is handled by the process that started it."""
    global _encoder
    _encoder = encoder
    signal.signal(signal.SIGINT, signal.SIG_IGN)


_encoder: Encoder  # of a worker process


def _work(batch: Batch) -> Encoded:
    return _encoder.encode(batch)


def _write_facts(file: BinaryIO, head: dict[str, object], starts: array[int]) -> None:
    """Write one JSON object without building the text of all offsets in memory."""
    file.write(json.dumps(head, indent=1).removesuffix("\n}").encode("ascii"))
    file.write(b',\n "document_offsets": [')
    for at in range(0, len(starts), _BATCH):
        numbers = ", ".join(map(str, starts[at : at + _BATCH]))
        file.write(b", " * (at > 0) + numbers.encode("ascii"))
    file.write(b"]\n}\n")


def tokenizer_mark(tokenizer: Tokenizer) -> str:
    """The tokenizer's fingerprint; composed tokenizers compute their own."""
    if isinstance(tokenizer, SavedTokenizer):
        return fingerprint(tokenizer)
    known: str = getattr(tokenizer, "fingerprint", "")
    return known


def _size(path: Path) -> int:
    try:
        if not path.is_file():
            raise UserError(f"there is no text file {path}")
        return path.stat().st_size
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
