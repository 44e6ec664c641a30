"""Texts: every kind of source gives its documents, and what is no text is refused by its place."""

from __future__ import annotations

import gzip
import json
import lzma
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from bounded_memory import at_most

from glassmind.data.pretraining.texts import find_texts
from glassmind.errors import UserError
from glassmind.tokenize import train_bpe
from glassmind.tokenize.corpus.documents import read_stretches

DOCUMENTS = ["The first.\nIt has two lines.", "The second, with an é.", "The third."]
ROWS = [{"id": n, "text": text} for n, text in enumerate(DOCUMENTS)]
JSONL = "".join(json.dumps(row) + "\n\n" for row in ROWS)
SEPARATED = "\n\x1e\n".join(DOCUMENTS)

WRITERS: dict[str, Callable[[Path], object]] = {
    "a.txt": lambda path: path.write_text(SEPARATED, "utf-8"),
    "a.md": lambda path: path.write_text("\ufeff" + SEPARATED + "\n\x1e\n \n", "utf-8"),
    "a.txt.gz": lambda path: path.write_bytes(gzip.compress(SEPARATED.encode())),
    "a.txt.xz": lambda path: path.write_bytes(lzma.compress(SEPARATED.encode())),
    "a.jsonl": lambda path: path.write_text(JSONL, "utf-8"),
    "a.jsonl.gz": lambda path: path.write_bytes(gzip.compress(JSONL.encode())),
    "a.jsonl.xz": lambda path: path.write_bytes(lzma.compress(JSONL.encode())),
    "a.parquet": lambda path: write_parquet(path, {"text": [*DOCUMENTS, " "], "n": [1, 2, 3, 4]}),
}


def write_parquet(path: Path, columns: dict[str, list[Any]]) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    pyarrow.parquet = pytest.importorskip("pyarrow.parquet")
    pyarrow.parquet.write_table(pyarrow.table(columns), path, row_group_size=2)


@pytest.mark.parametrize("name", WRITERS)
def test_every_kind_of_file_gives_its_documents(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path / name)
    corpus = find_texts(str(tmp_path / name), separator="\\x1e")
    pieces = list(corpus.pieces())
    assert [piece.text for piece in pieces] == DOCUMENTS
    assert [piece.document for piece in pieces] == [0, 1, 2]
    assert all(piece.begins and piece.where.startswith(str(tmp_path / name)) for piece in pieces)
    assert list(corpus.pieces()) == list(corpus.documents()) == pieces  # again and again


def test_folders_and_globs_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name in ("b.txt", "a.md", "deep/c.txt", ".hidden.txt", "picture.png", "b.parquet.gz"):
        (tmp_path / name).write_text(name)
    folder = [piece.text for piece in find_texts(str(tmp_path)).pieces()]
    assert folder == ["a.md", "b.txt", "deep/c.txt"]
    found = find_texts(str(tmp_path / "**" / "*.txt"))
    assert {piece.text for piece in found.pieces()} == {"b.txt", "deep/c.txt"}


def test_a_long_document_comes_in_pieces_with_the_same_ids(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "".join(f"Word{n}, it's {n * 7}!\n\n  And  then\tmore é{n} \n" for n in range(400))
    (tmp_path / "long.txt").write_bytes(text.encode())
    monkeypatch.setattr("glassmind.tokenize.bpe.presplit._BLOCK", 100)
    monkeypatch.setattr("glassmind.tokenize.corpus.documents._BLOCK", 37)  # cuts characters in two
    pieces = list(find_texts(str(tmp_path / "long.txt")).pieces())
    assert len(pieces) > 50
    assert "".join(piece.text for piece in pieces) == text
    assert [piece.begins for piece in pieces] == [True] + [False] * (len(pieces) - 1)
    bpe = train_bpe([text], 400)
    ids = [token for piece in pieces for token in bpe.encode(piece.text)]
    assert ids == bpe.encode(text)
    (joined,) = find_texts(str(tmp_path / "long.txt")).documents()
    assert joined.text == text


def test_text_without_a_place_to_cut_is_bounded_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("glassmind.tokenize.bpe.presplit._BLOCK", 100)
    monkeypatch.setattr("glassmind.tokenize.corpus.documents._BLOCK", 100)
    monkeypatch.setattr("glassmind.tokenize.corpus.documents._MAX_STRETCH", 300)
    (tmp_path / "a.txt").write_text("a" * 5000)
    stretches = list(read_stretches(tmp_path / "a.txt"))
    assert "".join(stretches) == "a" * 5000
    assert max(map(len, stretches)) <= 400
    monkeypatch.setattr("glassmind.data.pretraining.texts.MAX_JOINED", 1000)
    with pytest.raises(UserError, match=r"too long to compare.*separator"):
        list(find_texts(str(tmp_path / "a.txt")).documents())


def test_another_field(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"body": "one"}\n"two"\n')
    corpus = find_texts(str(tmp_path / "a.jsonl"), fields=("body",))
    assert [piece.text for piece in corpus.pieces()] == ["one", "two"]


BAD: dict[str, tuple[bytes, str]] = {
    "empty.txt": (b"", r"empty\.txt is empty"),
    "blank.txt": (b" \n\n", r"blank\.txt is empty"),
    "zero.txt": ("é\0".encode(), r"zero\.txt is not text but binary \(byte 2 is 0x00\)"),
    "latin.txt": (b"caf\xe9 au lait", r"latin\.txt is not UTF-8 text \(byte 3 is 0xE9\)"),
    "cut.txt": (b"caf\xc3", r"cut\.txt is not UTF-8 text \(byte 3 is 0xC3\)"),
    "list.jsonl": (b'{"text": "a"}\n[1]\n', r"list\.jsonl line 2 holds no text"),
    "field.jsonl": (b'\n{"txt": "a"}\n', r'field\.jsonl line 2 holds no text.*"text"'),
    "broken.jsonl": (b'{"text": "a"', r"broken\.jsonl line 1 is not JSON"),
    "deep.jsonl": (b"[" * 200_000, r"deep\.jsonl line 1 is not JSON"),
    "half.txt.gz": (gzip.compress(b"some text " * 99)[:-9], r"half\.txt\.gz cannot be unpacked"),
    "half.txt.xz": (lzma.compress(b"some text " * 99)[:-9], r"half\.txt\.xz cannot be unpacked"),
    "none.txt.gz": (b"plain", r"none\.txt\.gz cannot be unpacked"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("separator", ["", "|"], ids=["one document", "separated"])
def test_what_is_no_text_is_refused_by_its_place(tmp_path: Path, name: str, separator: str) -> None:
    content, sentence = BAD[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=sentence):
        list(find_texts(str(tmp_path / name), separator=separator).pieces())


def test_a_byte_far_into_a_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("glassmind.tokenize.corpus.documents._BLOCK", 64)
    (tmp_path / "a.txt").write_bytes("é".encode() * 333 + b"\xff")
    for separator in ("", "|"):
        with pytest.raises(UserError, match="byte 666 is 0xFF"):
            list(find_texts(str(tmp_path / "a.txt"), separator=separator).pieces())


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no text file"):
        find_texts(str(tmp_path / "a.txt"))
    with pytest.raises(UserError, match="no file matches"):
        find_texts(str(tmp_path / "*.txt"))
    with pytest.raises(UserError, match="holds no text"):
        find_texts(str(tmp_path))
    with pytest.raises(UserError, match="the separator"):
        find_texts(str(tmp_path), separator="\\x")


def test_a_bomb_is_unpacked_bit_by_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("glassmind.tokenize.corpus.documents.MAX_UNPACKED", 3_000_000)
    (tmp_path / "bomb.txt.gz").write_bytes(gzip.compress(b"a " * 5_000_000))
    with pytest.raises(UserError, match="unpacks to more than"):
        list(find_texts(str(tmp_path / "bomb.txt.gz")).pieces())


@pytest.mark.parametrize("stored", [True, False], ids=["dictionary", "plain"])
def test_a_dictionary_of_long_texts_is_read_row_by_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stored: bool
) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    long = "word" * (1 << 20)  # 4 MiB, 200 times: 800 MiB if every row had its copy
    column = pyarrow.DictionaryArray.from_arrays(pyarrow.array([0] * 200, "int32"), [long])
    path = tmp_path / "a.parquet"
    table = pyarrow.table({"text": column})
    parquet.write_table(table, path, compression="zstd", store_schema=stored)
    assert path.stat().st_size < 100_000
    monkeypatch.setattr("glassmind.data.rows.parquet_rows._BYTES_AT_ONCE", 64 << 20)
    with at_most(512):
        pieces = find_texts(str(path)).pieces()
        assert [len(next(pieces).text) for _ in range(3)] == [len(long)] * 3
        pieces.close()


def test_a_parquet_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr("glassmind.data.rows.parquet_rows._BYTES_AT_ONCE", 1 << 20)
    table = pyarrow.table({"text": [" " * (1 << 20), "a" * (1 << 20)]})
    path = tmp_path / "a.parquet"
    parquet.write_table(table, path, compression="zstd", use_dictionary=False)
    with pytest.raises(UserError, match="times its size in the file, as no text does"):
        next(find_texts(str(path)).pieces())


def test_bad_parquet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_parquet(tmp_path / "a.parquet", {"body": ["x"], "n": [1]})
    with pytest.raises(UserError, match=r"no column 'text'; its columns are body, n"):
        list(find_texts(str(tmp_path / "a.parquet")).pieces())
    with pytest.raises(UserError, match="row 1 holds no text in 'n'"):
        list(find_texts(str(tmp_path / "a.parquet"), fields=("n",)).pieces())
    whole = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "half.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="cannot be read as a parquet file"):
        list(find_texts(str(tmp_path / "half.parquet")).pieces())
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UserError, match=r"pip install 'glassmind\[parquet\]'"):
        list(find_texts(str(tmp_path / "a.parquet")).pieces())


def test_a_data_set_of_the_hub_is_streamed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def load_dataset(name: str, configuration: str | None, **options: Any) -> Iterator[Any]:
        asked.append((name, configuration, options))
        if name == "nobody/nothing":
            raise FileNotFoundError("Dataset 'nobody/nothing' doesn't exist on the Hub")
        return iter(ROWS)

    library = ModuleType("datasets")
    library.load_dataset = load_dataset  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "datasets", library)
    pieces = list(find_texts("hub:somebody/stories:small").pieces())
    assert [piece.text for piece in pieces] == DOCUMENTS
    assert pieces[1].where == "hub:somebody/stories:small row 2"
    assert asked == [("somebody/stories", "small", {"split": "train", "streaming": True})]
    with pytest.raises(UserError, match="row 1 holds no text in 'body'; it has id, text"):
        list(find_texts("hub:somebody/stories", fields=("body",)).pieces())
    with pytest.raises(UserError, match=r"cannot be read from the Hub .*doesn't exist"):
        list(find_texts("hub:nobody/nothing").pieces())
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UserError, match=r"pip install 'glassmind\[datasets\]'"):
        list(find_texts("hub:somebody/stories").pieces())
