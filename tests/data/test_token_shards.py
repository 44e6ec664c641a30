"""Shards: the same ids as in memory, whole or absent; rows cut from them like rows in memory."""

from __future__ import annotations

import dataclasses
import json
import tracemalloc
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from glassmind.data.batches.loader import RowLoader
from glassmind.data.batches.packing import STRUCTURE, Document, PackedRows, pack, stream
from glassmind.data.pretraining.texts import Piece, find_texts
from glassmind.data.pretraining.token_shards import TokenRows, mapped_ids, open_shard, write_shard
from glassmind.errors import UserError
from glassmind.tokenize import SPECIAL_IDS, CharTokenizer, train_char
from glassmind.tokenize.special import END

CHAR = CharTokenizer()
END_ID = SPECIAL_IDS[END]


def plenty(folder: Path, n_bytes: int) -> None:
    """A disk with room for everything."""


def pieces_of(*documents: str) -> list[Piece]:
    return [Piece(text, n, f"document {n}") for n, text in enumerate(documents)]


def same_rows(first: PackedRows, second: PackedRows) -> None:
    for name in STRUCTURE:
        one, two = getattr(first, name), getattr(second, name)
        assert one.dtype == two.dtype and one.shape == two.shape, name
        np.testing.assert_array_equal(one, two, name)


@pytest.mark.parametrize("batch", [1, 7, 1 << 18])
def test_the_end_token_stands_between_documents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr("glassmind.data.pretraining.token_shards.BATCH", batch)
    texts = ["one", "two", "a long one", "é", "last"]
    split = [*pieces_of(*texts[:2]), Piece("a long", 2, ""), Piece(" one", 2, "", begins=False)]
    pieces = split + pieces_of(*texts)[3:]
    path = tmp_path / "new" / "train.bin"
    shard = write_shard(path, iter(pieces), CHAR, require_space=plenty)
    expected = CHAR.encode(texts[0])
    for text in texts[1:]:
        expected += [END_ID, *CHAR.encode(text)]
    ids = mapped_ids(path, shard)
    assert ids.tolist() == expected
    assert (shard.dtype, shard.count, shard.documents) == ("uint16", len(expected), 5)
    assert shard.characters == len("".join(texts))
    assert shard.bytes == len("".join(texts).encode())
    assert open_shard(path, CHAR) == shard
    assert {file.name for file in path.parent.iterdir()} == {"train.bin", "train.json"}


def test_a_large_vocabulary_takes_four_bytes(tmp_path: Path) -> None:
    many = train_char(
        ["".join(map(chr, range(0x100, 0xD800))), "".join(map(chr, range(0x10000, 0x14000)))]
    )
    path = tmp_path / "train.bin"
    shard = write_shard(path, pieces_of("a\U00013fff"), many, require_space=plenty)
    assert shard.dtype == "uint32" and path.stat().st_size == 8
    assert mapped_ids(path, shard).tolist() == many.encode("a\U00013fff")


def test_several_processes_write_the_same_shard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("glassmind.data.pretraining.token_shards.BATCH", 50)
    pieces = pieces_of(*(f"document {n} " * (n % 9 + 1) for n in range(60)))
    one = write_shard(tmp_path / "one.bin", pieces, CHAR, workers=1, require_space=plenty)
    two = write_shard(tmp_path / "two.bin", pieces, CHAR, workers=2, require_space=plenty)
    assert one == two


def test_a_shard_that_is_not_whole_is_none(tmp_path: Path) -> None:
    path = tmp_path / "train.bin"
    write_shard(path, pieces_of("some text"), CHAR, require_space=plenty)
    data, facts = path.read_bytes(), path.with_suffix(".json").read_text()
    assert open_shard(path, CHAR) is not None
    assert open_shard(path, train_char(["é"])) is None  # another tokenizer
    for damaged in (data[:-2], data + b"\0\0", bytes([data[0] ^ 1]) + data[1:], b""):
        path.write_bytes(damaged)
        assert open_shard(path, CHAR) is None
    path.write_bytes(data)
    for damaged in (facts[:-9], "[]", "{}", facts.replace("uint16", "object"), '{"a": 1}'):
        path.with_suffix(".json").write_text(damaged)
        assert open_shard(path, CHAR) is None
    path.unlink()
    path.with_suffix(".json").write_text(facts)
    assert open_shard(path, CHAR) is None


def test_nothing_half_written_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("glassmind.data.pretraining.token_shards.BATCH", 100)

    def breaks_off() -> Iterator[Piece]:
        yield from pieces_of("x" * 500, "y" * 500)
        raise UserError("a.txt is not UTF-8 text")

    with pytest.raises(UserError, match="not UTF-8"):
        write_shard(tmp_path / "a.bin", breaks_off(), CHAR, require_space=plenty)
    asked: list[int] = []

    def full(folder: Path, n_bytes: int) -> None:
        asked.append(n_bytes)
        raise UserError("the disk is full")

    with pytest.raises(UserError, match="the disk is full"):
        write_shard(
            tmp_path / "a.bin",
            pieces_of("x" * 500, "y" * 500),
            CHAR,
            expected_characters=1000,
            require_space=full,
        )
    assert asked == [2000]  # two bytes a character
    monkeypatch.setattr("glassmind.data.pretraining.token_shards._CHECK_EVERY", 500)
    with pytest.raises(UserError, match="the disk is full"):  # also where nobody knows how much
        write_shard(tmp_path / "a.bin", pieces_of("x" * 500), CHAR, require_space=full)
    assert list(tmp_path.iterdir()) == []


def test_text_never_lies_in_memory_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("glassmind.data.pretraining.token_shards.BATCH", 1 << 14)
    monkeypatch.setattr("glassmind.tokenize.corpus.documents._BLOCK", 1 << 14)
    monkeypatch.setattr("glassmind.tokenize.bpe.presplit._BLOCK", 1 << 14)
    (tmp_path / "a.txt").write_text("some words, and more of them. " * 100_000)  # 3 MB
    tracemalloc.start()
    try:
        pieces = find_texts(str(tmp_path / "a.txt")).pieces()
        shard = write_shard(tmp_path / "a.bin", pieces, CHAR, require_space=plenty)
        ids = mapped_ids(tmp_path / "a.bin", shard)
        rows = TokenRows(ids, 64)
        RowLoader(rows, 8, seed=0).next()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert shard.characters == 3_000_000
    assert peak < 1_500_000  # of which a third is the loader's order of the rows


# ------------------------------------------------------------------------------- rows


def some_ids(count: int, end_share: float = 0.0) -> NDArray[np.uint16]:
    rng = np.random.default_rng(0)
    ids = rng.integers(END_ID + 1, 300, count).astype(np.uint16)
    ids[rng.random(count) < end_share] = END_ID
    return ids


def test_rows_are_those_of_a_stream_in_memory() -> None:
    ids = some_ids(1000)
    mine, memory = TokenRows(ids, 48), stream(ids.astype(np.int32), 48)
    assert len(mine) == len(memory) == 20
    for chosen in (np.array([3, 0, 19]), slice(2, 7), np.array([3, 3]), slice(18, 99)):
        same_rows(mine.take(chosen), memory.take(chosen))
    one, two = RowLoader(mine, 3, seed=4), RowLoader(memory, 3, seed=4)
    for _ in range(15):
        same_rows(one.next(), two.next())


def test_what_rows_have_in_common_is_not_copied() -> None:
    rows = TokenRows(some_ids(64 * 100), 64).take(np.arange(40))
    for name in STRUCTURE:
        if name != "ids":
            assert getattr(rows, name).strides[0] == 0, name


def test_documents_of_a_row_are_told_apart_as_packing_does() -> None:
    ids = some_ids(20 * 40, end_share=0.1)
    rows = TokenRows(ids, 40, end_of_document=END_ID).take(slice(None))
    for r, row in enumerate(ids.reshape(20, 40)):
        cuts = [0, *(np.flatnonzero(row[:-1] == END_ID) + 1).tolist(), 40]
        documents = [row[a:b] for a, b in pairwise(cuts)]
        position = 0
        for number, document in enumerate(documents, 1):
            here = slice(position, position + len(document))
            alone = pack([Document(document.astype(np.int32))], 40, 0)
            assert (rows.documents[r, here] == number).all()
            np.testing.assert_array_equal(
                rows.positions[r, here], alone.positions[0, : len(document)]
            )
            np.testing.assert_array_equal(
                rows.previous[r, here] - position, alone.previous[0, : len(document)]
            )
            position += len(document)
    plain = TokenRows(ids, 40).take(slice(None))
    for name in STRUCTURE:
        assert getattr(rows, name).dtype == getattr(plain, name).dtype, name


def test_too_short_for_a_row() -> None:
    with pytest.raises(UserError, match="the text has only 39 tokens, less than one row of 40"):
        TokenRows(some_ids(39), 40)
    with pytest.raises(UserError, match="less than one row"):
        TokenRows(some_ids(0), 40)


def test_the_description_is_what_it_says(tmp_path: Path) -> None:
    shard = write_shard(tmp_path / "a.bin", pieces_of("a", "b"), CHAR, require_space=plenty)
    assert json.loads((tmp_path / "a.json").read_text()) == dataclasses.asdict(shard)
