from __future__ import annotations

import gzip
import json
import lzma
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from glassmind.errors import UserError
from glassmind.tokenize import BPETokenizer, CharTokenizer, fingerprint, train_char
from glassmind.tokenize.corpus.bulk import CorpusFacts, tokenize_corpus
from glassmind.tokenize.corpus.documents import read_documents


def read_back(facts: CorpusFacts) -> tuple[dict[str, Any], list[list[int]]]:
    """What the JSON says, and the ids of each document."""
    said = json.loads(facts.facts_path.read_text("utf-8"))
    ids = np.fromfile(facts.path, dtype=said["dtype"]).tolist()
    ends = [*said["document_offsets"], said["count"]]
    assert len(ids) == said["count"] == facts.tokens
    assert len(ends) == facts.documents + 1
    return said, [ids[start:end] for start, end in pairwise(ends)]


class Watcher:
    def __init__(self) -> None:
        self.total = 0
        self.done: list[int] = []
        self.ended = ""

    def start(self, stage: str, total: int, unit: str = "steps") -> None:
        self.total = total

    def update(self, done: int, **figures: float) -> None:
        self.done.append(done)

    def end(self, summary: str = "") -> None:
        self.ended = summary


@pytest.mark.parametrize("workers", [1, 2])
def test_documents_come_out_in_order(
    tmp_path: Path,
    bpe: BPETokenizer,
    stories: list[str],
    workers: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("glassmind.tokenize.corpus.bulk._BATCH", 2000)  # many batches
    stories = [story.strip() for story in stories]
    plain, packed = tmp_path / "a.txt", tmp_path / "b.txt.xz"
    plain.write_text("\n\n".join(stories[:100]), "utf-8")
    packed.write_bytes(lzma.compress("\n\n\n\n".join(stories[100:]).encode()))
    watcher = Watcher()
    facts = tokenize_corpus(
        [plain, packed], bpe, tmp_path / "new" / "ids.bin", workers=workers, progress=watcher
    )
    said, documents = read_back(facts)
    assert documents == bpe.encode_batch(stories)
    assert said["dtype"] == facts.dtype == "uint16"
    assert said["tokenizer"] == facts.fingerprint == fingerprint(bpe)
    assert said["end_of_document"] is None
    assert watcher.total == plain.stat().st_size + packed.stat().st_size
    assert watcher.done == sorted(watcher.done)
    assert watcher.done[-1] == watcher.total
    assert "400 documents" in watcher.ended
    names = sorted(path.name for path in (tmp_path / "new").iterdir())
    assert names == ["ids.bin", "ids.json"]


def test_a_large_vocabulary_takes_four_bytes_and_documents_may_have_an_end(
    tmp_path: Path, bpe: BPETokenizer
) -> None:
    class Large(BPETokenizer):
        vocab_size = 1 << 17

        def encode_batch(self, texts: Sequence[str | bytes]) -> list[list[int]]:  # type: ignore[override]
            return [[70_000, len(text)] for text in texts]

    large = object.__new__(Large)
    large.__dict__.update(vars(bpe))
    text = tmp_path / "a.txt"
    text.write_text("one\x1e\x1etwo\n\x1e \n\x1ethree\n", "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("glassmind.tokenize.corpus.bulk.fingerprint", lambda tokenizer: "large")
        facts = tokenize_corpus(
            [text], large, tmp_path / "ids.bin", separator="\x1e", end_of_document=99_999
        )
    said, documents = read_back(facts)
    assert said["dtype"] == "uint32"
    assert said["end_of_document"] == 99_999
    assert documents == [[70_000, 3, 99_999], [70_000, 3, 99_999], [70_000, 5, 99_999]]
    assert facts.path.stat().st_size == 9 * 4


def test_json_lines_in_every_packing(tmp_path: Path) -> None:
    lines = ['{"text": " one\\n\\ntwo\\n", "id": 1}', "", '"three"', '{"text": "  "}', '"\\u00e9"']
    data = ("\ufeff" + "\n".join(lines)).encode()
    members = gzip.compress(data[:20], mtime=0) + gzip.compress(data[20:])
    streams = lzma.compress(data[:20]) + bytes(8) + lzma.compress(data[20:])
    for name, content in [("a.jsonl", data), ("a.jsonl.gz", members), ("A.JSONL.XZ", streams)]:
        path = tmp_path / name
        path.write_bytes(content)
        read: list[int] = []
        assert list(read_documents(path, "\n\n", read.append)) == [" one\n\ntwo\n", "three", "é"]
        assert sum(read) == len(content)


@given(
    st.text(st.sampled_from("ab|\n é"), max_size=60),
    st.sampled_from(["|", "||", "\n\n", "b|", "é"]),
    st.integers(1, 5),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_blocks_of_the_file_do_not_matter(
    tmp_path: Path, text: str, separator: str, block: int
) -> None:
    path = tmp_path / "text"
    path.write_bytes(text.encode())
    plain = [part.strip("\n") for part in text.split(separator) if part.strip()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("glassmind.tokenize.corpus.documents._BLOCK", block)
        assert list(read_documents(path, separator)) == plain


PACKED = lzma.compress(b"text " * 1000)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"good\n\nb\xffd", r"a\.txt is not UTF-8 text \(byte 7 is 0xFF\)"),
        ("a.jsonl", b'"a"\n{"a": 1}', r"a\.jsonl line 2 holds no text"),
        ("a.jsonl", b'"a"\n\n{"text', r"a\.jsonl line 3 is not JSON"),
        ("a.jsonl", b'"\xff"', r"a\.jsonl line 1 is not JSON"),
        ("a.jsonl", b"[" * 100_000, r"a\.jsonl line 1 is not JSON"),
        ("a.txt.gz", b"no gzip", r"a\.txt\.gz cannot be unpacked"),
        ("a.txt.gz", gzip.compress(b"text", mtime=0)[:-4], r"a\.txt\.gz cannot be unpacked"),
        ("a.txt.gz", gzip.compress(b"text " * 99, mtime=0)[:20] + b"xx" * 20, "cannot be unpacked"),
        ("a.txt.xz", b"no xz", r"a\.txt\.xz cannot be unpacked"),
        ("a.txt.xz", PACKED[:-9], r"a\.txt\.xz cannot be unpacked"),
        ("a.txt.xz", PACKED + b"more", r"a\.txt\.xz cannot be unpacked"),
        ("a.txt", b" \n\n \n", r"there is no document in .*a\.txt"),
        ("a.txt", b"", r"there is no document in .*a\.txt"),
    ],
)
def test_bad_files_are_named(
    tmp_path: Path, bpe: BPETokenizer, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        tokenize_corpus([tmp_path / name], bpe, tmp_path / "ids.bin")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_what_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bomb.txt.xz"
    path.write_bytes(lzma.compress(b"x" * 5_000_000))
    monkeypatch.setattr("glassmind.tokenize.corpus.documents.MAX_DOCUMENT", 2_000_000)
    with pytest.raises(UserError, match=r"document of more than .*'\|'"):
        list(read_documents(path, "|"))
    monkeypatch.setattr("glassmind.tokenize.corpus.documents.MAX_UNPACKED", 3_000_000)
    with pytest.raises(UserError, match="unpacks to more"):
        list(read_documents(path, "x"))
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 29}]
    path.write_bytes(lzma.compress(b"text", filters=filters))
    with pytest.raises(UserError, match="cannot be unpacked"):
        list(read_documents(path, "\n"))


def test_bad_requests_are_refused(tmp_path: Path, bpe: BPETokenizer) -> None:
    text, folder = tmp_path / "a.json", tmp_path / "folder"
    text.write_text("text", "utf-8")
    folder.mkdir()
    ids = tmp_path / "ids.bin"
    for files, target, options, message in [
        ([tmp_path / "none"], ids, {}, "there is no text file .*none"),
        ([folder], ids, {}, "there is no text file .*folder"),
        ([], ids, {}, "there is no document"),
        ([text], folder, {}, "name a file"),
        ([text], text, {}, "name a file"),
        ([text], tmp_path / "a.bin", {}, "file of their own"),
        ([text], text / "ids.bin", {}, "cannot write"),
        ([text], ids, {"separator": ""}, "separator"),
        ([text], ids, {"end_of_document": bpe.vocab_size}, "from 0 to"),
    ]:
        with pytest.raises(UserError, match=message):
            tokenize_corpus(files, bpe, target, **options)  # type: ignore[arg-type]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "folder"]


class Ending(CharTokenizer):
    """Ends the process that encodes with it."""

    def encode_batch(self, texts: object) -> list[list[int]]:
        import os

        os._exit(1)


def test_a_worker_that_dies_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text", "utf-8")
    old = tokenize_corpus([tmp_path / "a.txt"], train_char(["text"]), tmp_path / "ids.bin")
    tokenizer = object.__new__(Ending)
    tokenizer.__dict__.update(vars(train_char(["text"])))
    with pytest.raises(UserError, match="ended from outside"):
        tokenize_corpus([tmp_path / "a.txt"], tokenizer, tmp_path / "ids.bin", workers=2)
    assert read_back(old)  # as it was
