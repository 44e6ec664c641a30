from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from glassmind.errors import UserError
from glassmind.tokenize import (
    BPETokenizer,
    CharTokenizer,
    fingerprint,
    load,
    save,
    train_bpe,
    train_char,
)

CHAR = train_char(["naïve café 日本語 😀"])


@pytest.fixture(scope="session")
def bpe_file(bpe: BPETokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bpe") / "tokenizer.json"
    save(bpe, path)
    return path


@pytest.fixture(scope="session")
def char_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("char") / "tokenizer.json"
    save(CHAR, path)
    return path


def library(path: Path) -> Any:
    tokenizers = pytest.importorskip("tokenizers")
    loaded = tokenizers.Tokenizer.from_file(str(path))
    loaded.encode_special_tokens = True  # user text is text
    return loaded


def test_the_library_encodes_identically(
    bpe: BPETokenizer, bpe_file: Path, char_file: Path, nasty: str
) -> None:
    pairs: list[tuple[BPETokenizer | CharTokenizer, Path]] = [(bpe, bpe_file), (CHAR, char_file)]
    for ours, path in pairs:
        theirs = library(path)
        ids = ours.encode(nasty)
        assert theirs.encode(nasty).ids == ids
        assert theirs.decode(ids) == nasty
        assert theirs.get_vocab_size() == ours.vocab_size


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.text(st.characters(max_codepoint=0x2FFF, categories=("L", "N", "P", "S", "Z", "Cc"))))
def test_the_library_encodes_identically_whatever_the_text(
    bpe: BPETokenizer, bpe_file: Path, char_file: Path, text: str
) -> None:
    assert library(bpe_file).encode(text).ids == bpe.encode(text)
    assert library(char_file).encode(text).ids == CHAR.encode(text)


def test_the_library_knows_the_special_tokens(bpe: BPETokenizer, bpe_file: Path) -> None:
    theirs = pytest.importorskip("tokenizers").Tokenizer.from_file(str(bpe_file))
    assert theirs.encode("<|question|>hi<|think|>").ids == [1, *bpe.encode("hi"), 2]


def test_a_file_written_again_by_the_library_is_still_ours(
    bpe: BPETokenizer, bpe_file: Path, char_file: Path, tmp_path: Path
) -> None:
    expected_prints = [(bpe_file, fingerprint(bpe)), (char_file, fingerprint(CHAR))]
    for path, expected in expected_prints:
        again = tmp_path / "again.json"
        library(path).save(str(again))
        assert fingerprint(load(again)) == expected


def test_saved_and_loaded_is_the_same_tokenizer(
    bpe: BPETokenizer, bpe_file: Path, char_file: Path, nasty: str
) -> None:
    pairs: list[tuple[BPETokenizer | CharTokenizer, Path]] = [(bpe, bpe_file), (CHAR, char_file)]
    for ours, path in pairs:
        loaded = load(path)
        assert type(loaded) is type(ours)
        assert loaded.encode(nasty) == ours.encode(nasty)
        assert fingerprint(loaded) == fingerprint(ours)


def test_fingerprints_tell_tokenizers_apart(bpe: BPETokenizer, stories: list[str]) -> None:
    others: list[BPETokenizer | CharTokenizer]
    others = [train_bpe(stories[:50], 300), train_bpe(stories[:50], 301), CHAR, train_char([])]
    others.append(bpe)
    prints = {fingerprint(tokenizer) for tokenizer in others}
    assert len(prints) == 5
    assert all(len(value) == 64 for value in prints)


def test_saving_is_whole_or_not_at_all(
    bpe: BPETokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "new" / "tokenizer.json"
    save(CHAR, path)
    before = path.read_bytes()

    def full_disk(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full_disk)
    with pytest.raises(UserError, match="No space"):
        save(bpe, path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def _set(*keys: Any, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        holder: Any = document
        for key in keys[:-1]:
            holder = holder[key]
        holder[keys[-1]] = value

    return change


def _drop(*keys: Any) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        holder: Any = document
        for key in keys[:-1]:
            holder = holder[key]
        del holder[keys[-1]]

    return change


ABUSES: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "no model": (_drop("model"), "model"),
    "model a list": (_set("model", value=[]), "model"),
    "no vocab": (_drop("model", "vocab"), "model.vocab"),
    "vocab a list": (_set("model", "vocab", value=[]), "model.vocab"),
    "no merges": (_drop("model", "merges"), "model.merges"),
    "merges a string": (_set("model", "merges", value="a b"), "model.merges"),
    "another model": (_set("model", "type", value="WordPiece"), "model.type"),
    "unhashable type": (_set("model", "type", value={}), "model.type"),
    "dropout": (_set("model", "dropout", value=0.1), "model.dropout"),
    "evil pattern": (
        _set("pre_tokenizer", "pretokenizers", 0, "pattern", "Regex", value="(a+)+$"),
        "pre_tokenizer",
    ),
    "no pattern": (_set("pre_tokenizer", value=None), "pre_tokenizer"),
    "normalizer": (_set("normalizer", value={"type": "NFC"}), "normalizer"),
    "decoder": (_set("decoder", value={"type": "ByteFallback"}), "decoder"),
    "added token a number": (_set("added_tokens", 0, value=3), "added_tokens"),
    "added token not special": (_set("added_tokens", 0, "special", value=False), "added_tokens"),
    "fewer added tokens": (_drop("added_tokens", 6), "added_tokens"),
    "id a string": (_set("model", "vocab", "Ġ", value="3"), "model.vocab"),
    "id a boolean": (_set("model", "vocab", "Ġ", value=True), "model.vocab"),
    "id negative": (_set("model", "vocab", "Ġ", value=-1), "model.vocab"),
    "id huge": (_set("model", "vocab", "Ġ", value=10**30), "model.vocab"),
    "id repeated": (_set("model", "vocab", "Ġ", value=7), "repeats the id 7"),
    "special token gone": (_drop("model", "vocab", "<|end|>"), "model.vocab"),
    "byte gone": (_drop("model", "vocab", "!"), "model.vocab"),
    "merge a string": (_set("model", "merges", 0, value="t h"), r"model.merges\[0\]"),
    "merge of three": (_set("model", "merges", 0, value=["t", "h", "e"]), r"model.merges\[0\]"),
    "merge of numbers": (_set("model", "merges", 1, value=[1, 2]), r"model.merges\[1\]"),
    "merge unknown": (_set("model", "merges", 1, value=["Ġ", "¡¡¡"]), r"model.merges\[1\]"),
    "merge of special": (_set("model", "merges", 0, value=["<|end|>", "!"]), r"model.merges\[0\]"),
    "merge gone": (_drop("model", "merges", 0), "made by no merge"),
}


@pytest.mark.parametrize("name", ABUSES)
def test_a_tampered_file_is_refused_with_file_and_field(
    bpe_file: Path, tmp_path: Path, name: str
) -> None:
    change, field = ABUSES[name]
    document = copy.deepcopy(json.loads(bpe_file.read_text("utf-8")))
    change(document)
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(document), "utf-8")
    with pytest.raises(UserError, match=field) as caught:
        load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_more_tampering_with_bpe(bpe_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    document = json.loads(bpe_file.read_text("utf-8"))
    document["model"]["merges"].append(document["model"]["merges"][0])
    path.write_text(json.dumps(document), "utf-8")
    with pytest.raises(UserError, match="twice"):
        load(path)
    document = json.loads(bpe_file.read_text("utf-8"))
    document["model"]["vocab"]["\ud800\ud800"] = len(document["model"]["vocab"])
    path.write_text(json.dumps(document), "utf-8")
    with pytest.raises(UserError, match="stands for no byte"):
        load(path)


def test_tampering_with_char(char_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    for spelling in ("ab", "x", "\ud800", ""):
        document = json.loads(char_file.read_text("utf-8"))
        document["model"]["vocab"][spelling] = len(document["model"]["vocab"])
        path.write_text(json.dumps(document), "utf-8")
        with pytest.raises(UserError, match="not a usable vocabulary"):
            load(path)
    document = json.loads(char_file.read_text("utf-8"))
    vocab = document["model"]["vocab"]
    vocab["<0x00>"], vocab["<0x01>"] = vocab["<0x01>"], vocab["<0x00>"]
    path.write_text(json.dumps(document), "utf-8")
    with pytest.raises(UserError, match="<0x00>"):
        load(path)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"[" * 200_000,
        b'{"model": {"vocab": ' + b"9" * 10_000 + b"}}",
        b'{"a": 1, "a": 2}',
        b"PK\x03\x04 not json",
    ],
    ids=lambda data: ascii(data[:12]),
)
def test_what_is_not_json_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "bad.json"
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"bad\.json"):
        load(path)


def test_missing_folder_and_huge_files_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="no tokenizer file"):
        load(tmp_path / "missing.json")
    with pytest.raises(UserError, match="no tokenizer file"):
        load(tmp_path)
    monkeypatch.setattr("glassmind.tokenize.tokenizer_file.MAX_FILE_BYTES", 1 << 20)
    path = tmp_path / "huge.json"
    path.write_bytes(b" " * ((1 << 20) + 1))
    with pytest.raises(UserError, match="larger than 1 MiB"):
        load(path)
