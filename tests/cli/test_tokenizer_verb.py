from __future__ import annotations

import argparse
import io
import json
import sys
from pathlib import Path

import pytest

from glassmind.cli import tokenizer as verb
from glassmind.errors import UserError
from glassmind.tokenize import load

TEXT = "Mia has 12 pencils. Noah has 3 pencils. Zoé has more pencils than Noah.\n" * 5


def call(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    verb.add_arguments(parser)
    return verb.run(parser.parse_args(arguments))


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    source = tmp_path / "text.txt"
    source.write_text(TEXT, "utf-8")
    target = tmp_path / "run" / "tokenizer.json"
    assert call("train", str(source), "--vocab-size", "280", "--out", str(target)) == 0
    return target.parent


def test_train_show_encode_decode(
    run_folder: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    tokenizer = load(run_folder / "tokenizer.json")
    assert tokenizer.vocab_size == 280
    for path in (run_folder, run_folder / "tokenizer.json"):
        capfdbinary.readouterr()
        assert call("encode", "Mia has 7\n\n", "--tokenizer", str(path)) == 0
        ids = capfdbinary.readouterr().out.decode().split()
        assert list(map(int, ids)) == tokenizer.encode("Mia has 7\n\n")
        assert call("decode", *ids, "--tokenizer", str(path)) == 0
        assert capfdbinary.readouterr().out == b"Mia has 7\n\n"
        assert call("show", "Zoé has", "--tokenizer", str(path)) == 0
        assert b"\xc2\xb7has " in capfdbinary.readouterr().out


def test_json_output(run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--tokenizer", str(run_folder), "--json"]
    tokenizer = load(run_folder / "tokenizer.json")
    call("show", "Mia", *where)
    shown = json.loads(capsys.readouterr().out)
    assert "".join(token["text"] for token in shown["tokens"]) == "Mia"
    call("encode", "Mia", *where)
    assert json.loads(capsys.readouterr().out)["ids"] == tokenizer.encode("Mia")
    call("decode", str(tokenizer.encode("M")[0]), *where)
    assert json.loads(capsys.readouterr().out)["text"] == "M"


def test_characters_and_standard_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = tmp_path / "text.txt", tmp_path / "char.json"
    source.write_text(TEXT, "utf-8")
    call("train", str(source), "--kind", "char", "--out", str(target), "--json")
    assert json.loads(capsys.readouterr().out)["vocab_size"] == 7 + 256 + 1
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xffA")))
    call("encode", "-", "--tokenizer", str(target))
    assert capsys.readouterr().out.split() == [str(7 + 0xFF), str(7 + 65)]


def test_bad_input_is_one_sentence(run_folder: Path, tmp_path: Path) -> None:
    empty, binary = tmp_path / "empty.txt", tmp_path / "latin.txt"
    empty.write_text(" \n")
    binary.write_bytes("café".encode("latin-1"))
    good = str(tmp_path / "text.txt")
    out = ["--out", str(tmp_path / "t.json")]
    where = ["--tokenizer", str(run_folder)]
    for arguments, message in [
        (["train", str(empty), *out], "is empty"),
        (["train", str(binary), *out], r"not UTF-8 text \(byte 3 is 0xE9\)"),
        (["train", good, *out, "--vocab-size", "5"], "vocabulary size 5"),
        (["train", good, *out, "--vocab-size", "500", "--kind", "char"], "--vocab-size is for"),
        (["train", good, "--out", str(tmp_path)], "is a folder"),
        (["show", "x", "--tokenizer", str(tmp_path)], "no tokenizer file"),
        (["decode", "99999", *where], "between 0 and 279"),
    ]:
        with pytest.raises(UserError, match=message):
            call(*arguments)
    assert not (tmp_path / "t.json").exists()
