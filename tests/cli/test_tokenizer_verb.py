from __future__ import annotations

import argparse
import array
import io
import json
import sys
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import pytest
from rich.console import Console

from glassmind.cli import tokenizer as verb
from glassmind.cli.live import LiveProgress
from glassmind.cli.main import main
from glassmind.errors import UserError
from glassmind.interop import shipped_packages
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
    good, empty, latin = tmp_path / "text.txt", tmp_path / "empty.txt", tmp_path / "latin.txt"
    empty.write_text(" \n")
    latin.write_bytes("café".encode("latin-1"))
    package = tmp_path / "package.json"
    package.write_text('{"name": "mine"}')
    target = tmp_path / "t.json"
    train, out = ["train", str(good), "--out", str(target)], ["--out", str(target)]
    where = ["--tokenizer", str(run_folder)]
    corpus = ["corpus", str(good), *where, "--out", str(tmp_path / "t.bin")]
    for arguments, message in [
        (["train", str(empty), *out], "is empty"),
        (["train", str(latin), *out], r"not UTF-8 text \(byte 3 is 0xE9\)"),
        ([*train, "--vocab-size", "5"], "vocabulary size 5"),
        ([*train, "--vocab-size", "5", "--kind", "wordpiece"], "vocabulary size 5"),
        ([*train, "--vocab-size", "500", "--kind", "char"], "--vocab-size is only for"),
        (["train", str(good), "--out", str(tmp_path)], "is a folder"),
        (["train", str(good), "--out", str(good / "t.json")], "is a file, not a folder"),
        (["train", str(good), "--out", str(good)], "ends in .txt, but a tokenizer.json"),
        (["train", str(package), "--out", str(package)], "is one of the texts"),
        (["encode", "x", "--special", *where], "--special does not work with"),
        (["decode", "9999", *where], "no token 9999; ids run from 0 to 279"),
        (["decode", "-1", *where], "no token -1"),
        (["compare", str(empty), *where], "is empty"),
        (["compare", str(latin), *where], "not UTF-8"),
        (["corpus", str(latin), *corpus[2:]], "UTF-8"),
        (["corpus", str(empty), *corpus[2:]], "no document"),
        (["corpus", str(tmp_path), *corpus[2:]], "no text file"),
        ([*corpus, "--end-token", "<|fin|>"], "no special token '<.fin.>'"),
        ([*corpus, "--workers", "0"], "must be at least 1"),
        ([*corpus, "--separator", "\\x"], "--separator"),
        ([*corpus, "--separator", "\\ud800"], "--separator"),
        ([*corpus, "--separator", ""], "separator"),
        ([*corpus[:-1], str(tmp_path)], "is a folder"),
        ([*corpus[:-1], str(good)], "is one of the texts"),
        (
            [*corpus[:-1], str(tmp_path / "package.bin")],
            "package.json, which does not describe a corpus",
        ),
        (
            [*corpus[:-1], str(run_folder / "tokenizer.bin")],
            "tokenizer.json, which does not describe a",
        ),
    ]:
        with pytest.raises(UserError, match=message):
            call(*arguments)
    tokenizer = str(run_folder / "tokenizer.json")
    with pytest.raises(UserError, match="is the tokenizer"):
        call("corpus", str(good), "--tokenizer", tokenizer, "--out", tokenizer)
    assert load(run_folder / "tokenizer.json").vocab_size == 280
    assert not target.exists() and not target.with_suffix(".bin").exists()


@pytest.mark.parametrize("action", ["show", "encode", "decode", "compare", "corpus"])
def test_what_is_no_tokenizer_is_refused(
    action: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "text.txt"
    source.write_text(TEXT, "utf-8")
    what = {"show": "x", "encode": "x", "decode": "1"}.get(action, str(source))
    more = ["--out", str(tmp_path / "c.bin")] if action == "corpus" else []
    bad = [tmp_path / "missing.json", tmp_path / "a folder", tmp_path / "missing"]
    bad[1].mkdir()
    garbage = bytes(range(255, -1, -1)) * 4
    for name in ("t.json", "tokenizer.model", "cl100k_base.tiktoken", "t.gguf", "vocab.bpe"):
        for kind, content in (("empty", b""), ("garbage", garbage), ("GGUF", b"GGUF" + garbage)):
            path = tmp_path / kind / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
            bad.append(path)
    for path in bad:
        assert main(["tokenizer", action, what, "--tokenizer", str(path), *more]) == 2, path
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.startswith("glassmind: error: ") and captured.err.count("\n") == 1
        assert str(path) in captured.err or path.name == "vocab.bpe"


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "missing.txt", "--out", "t.json"],
        ["train", "missing.txt", "--out", "t.json", "--kind", "wordpiece"],
        ["train", "text.txt", "--out", "t.json", "--kind", "wordpeice"],
        ["train", "text.txt", "--out", "t.json", "--vocab-size", "many"],
        ["shwo", "x"],
        ["show", "x", "--tokeniser", "t.json"],
        ["decode", "one"],
        ["compare", "text.txt"],
        ["compare", "missing.txt", "--tokenizer", "t.json"],
        ["corpus", "missing.txt", "--out", "t.bin"],
    ],
)
def test_typing_errors_end_with_2(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("text.txt").write_text(TEXT, "utf-8")
    assert main(["tokenizer", *arguments]) == 2
    assert not Path("t.json").exists()


def test_the_tokenizer_in_the_package_is_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("encode", "Mia has 12") == 0
    (folder,) = Path(str(resources.files("glassmind") / "weights")).iterdir()
    ids = capsys.readouterr().out.split()
    assert list(map(int, ids)) == load(folder / "tokenizer.json").encode("Mia has 12")


def test_a_model_that_comes_as_a_package_is_known_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_folder: Path
) -> None:
    monkeypatch.setattr(
        shipped_packages, "shipped_model", {"smollm2": run_folder / "tokenizer.json"}.__getitem__
    )
    monkeypatch.chdir(tmp_path)
    assert call("show", "x", "--tokenizer", "smollm2") == 0
    Path("smollm2").mkdir()  # a path that is there comes first
    with pytest.raises(UserError, match="folder smollm2 holds no tokenizer"):
        call("show", "x", "--tokenizer", "smollm2")


def test_show_draws_how_pieces_were_put_together(
    run_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call("show", "Mia has pencils", "--tokenizer", str(run_folder))
    lines = capsys.readouterr().out.splitlines()
    assert any(line.endswith("· p e n c i l s") for line in lines)
    assert any(line.split()[:1] == ["merge"] for line in lines)
    call("show", "Mia " + "x" * 100, "--tokenizer", str(run_folder))
    assert "more than 64 characters is not drawn" in capsys.readouterr().out
    letters = "abcdefghijklmnopqrstuvwxyz"
    many = " ".join(first + second + "en" for first in letters for second in "ab")
    call("show", many, "--tokenizer", str(run_folder))
    captured = capsys.readouterr()
    assert captured.out.count("\n\n") <= 24
    assert "the first 24 are drawn" in captured.err
    call("show", "Mia", "--tokenizer", str(run_folder), "--json")
    (path,) = json.loads(capsys.readouterr().out)["paths"]
    assert path["start"] == ["M", "i", "a"]
    assert path["steps"][-1]["parts"] == ["Mi", "a"]
    call("show", many, "--tokenizer", str(run_folder), "--json")
    shown = json.loads(capsys.readouterr().out)
    assert len(shown["paths"]) == 24 and not shown["all_paths"]


def test_show_is_bounded_and_keeps_tokens_and_ids_together(
    run_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call("show", "pencils\x1b[2J " * 1000, "--tokenizer", str(run_folder))
    captured = capsys.readouterr()
    assert "the first 1,000 tokens are drawn" in captured.err
    assert "\x1b" not in captured.out
    lines = captured.out.split("\n\n")[0].splitlines()
    entries = [entry.split(" ") for line in lines for entry in line.split("  ")]
    assert len(entries) == 1000
    assert all(len(entry) == 2 and entry[1].isdecimal() for entry in entries)
    assert max(map(len, lines)) <= 160
    tokenizer = load(run_folder / "tokenizer.json")
    ids = tokenizer.encode("pencils\x1b[2J " * 1000)[:1000]
    assert [int(token_id) for _, token_id in entries] == ids


def _unigram(path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    scored = [("<unk>", 0.0), ("▁un", -2.0), ("able", -3.0), ("▁", -4.0), ("t", -5.0), ("un", -6)]
    made = tokenizers.Tokenizer(tokenizers.models.Unigram(scored, 0))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    made.decoder = tokenizers.decoders.Metaspace()
    made.save(str(path))


def _wordpiece(path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    vocab = {word: i for i, word in enumerate(["[UNK]", "un", "##table", "##able", "##t"])}
    made = tokenizers.Tokenizer(tokenizers.models.WordPiece(vocab, unk_token="[UNK]"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    made.decoder = tokenizers.decoders.WordPiece()
    made.save(str(path))


def _gguf(path: Path) -> None:
    gguf = pytest.importorskip("gguf")
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([*"unable", "un", "ab", "le", "able"])
    writer.add_token_types([1] * 10)
    writer.add_token_merges(["u n", "a b", "l e", "ab le"])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.mark.parametrize(
    ("make", "name", "lines"),
    [
        (_unigram, "tokenizer.json", ["log p -2.00  ·un able", "sum -5.00  ·un able"]),
        (_wordpiece, "tokenizer.json", ["longest match  un able", "longest match  un ##able"]),
        (_gguf, "model.gguf", ["merge 0  un a b l e", "merge 3  un able"]),
    ],
)
def test_show_draws_foreign_tokenizers(
    make: Callable[[Path], None],
    name: str,
    lines: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make(tmp_path / name)
    for path in (tmp_path / name, tmp_path):
        assert call("show", "unable", "--tokenizer", str(path)) == 0
        drawn = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
        for expected in lines:
            assert any(line.endswith(expected) for line in drawn), drawn


def test_wordpiece_is_trained_and_loads_in_the_reference(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    source, target = tmp_path / "text.txt", tmp_path / "tokenizer.json"
    source.write_text(TEXT, "utf-8")
    size = ["--vocab-size", "70"]
    call("train", str(source), "--kind", "wordpiece", *size, "--out", str(target), "--json")
    facts = json.loads(capsys.readouterr().out)
    assert (facts["kind"], facts["vocab_size"]) == ("wordpiece", 70)
    assert len(facts["fingerprint"]) == 64
    theirs = tokenizers.Tokenizer.from_file(str(target))
    assert theirs.get_vocab_size() == 70
    for text in (TEXT, "Mia has 7 unknown things: €"):
        call("encode", text, "--tokenizer", str(target))
        assert list(map(int, capsys.readouterr().out.split())) == theirs.encode(text).ids


def test_compare(run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, char = tmp_path / "text.txt", tmp_path / "char" / "tokenizer.json"
    call("train", str(source), "--kind", "char", "--out", str(char))
    both = ["--tokenizer", str(run_folder), "--tokenizer", str(char)]
    capsys.readouterr()
    assert call("compare", str(source), *both) == 0
    table = capsys.readouterr().out
    assert "bytes/token" in table and str(char) in table
    call("compare", str(source), *both, "--json")
    report = json.loads(capsys.readouterr().out)
    assert report["bytes"] == len(TEXT.encode())
    bpe, characters = report["tokenizers"]
    assert characters["tokens"] == len(TEXT)
    assert characters["tokens_per_word"] == len(TEXT) / len(TEXT.split())
    assert characters["tokens_per_digit"] == bpe["tokens_per_digit"] == 1
    assert bpe["exact"] and bpe["tokens"] == len(load(run_folder / "tokenizer.json").encode(TEXT))
    assert bpe["bytes_per_token"] == report["bytes"] / bpe["tokens"]
    source.write_text("no digits", "utf-8")
    call("compare", str(source), *both)
    assert " - " in capsys.readouterr().out


def test_corpus(run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, target = tmp_path / "documents.txt", tmp_path / "corpus.bin"
    source.write_text("Mia has 12.\x1eNoah has 3.", "utf-8")
    where = ["--tokenizer", str(run_folder), "--out", str(target), "--separator", "\\x1e"]
    capsys.readouterr()
    call("corpus", str(source), *where, "--end-token", "<|end|>", "--json")
    facts = json.loads(capsys.readouterr().out)
    tokenizer = load(run_folder / "tokenizer.json")
    end = tokenizer.special["<|end|>"]
    expected = [*tokenizer.encode("Mia has 12."), end, *tokenizer.encode("Noah has 3."), end]
    assert (facts["tokens"], facts["documents"]) == (len(expected), 2)
    ids = array.array("H", target.read_bytes())
    assert list(ids) == expected
    call("corpus", str(source), *where)
    assert "corpus.bin" in capsys.readouterr().err


def test_corpus_on_tiktoken(run_folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("tiktoken")
    source, targets = tmp_path / "text.txt", (tmp_path / "slow.bin", tmp_path / "fast.bin")
    source.write_text(TEXT * 3, "utf-8")
    for target, how in zip(targets, ([], ["--tiktoken"]), strict=True):
        call("corpus", str(source), "--tokenizer", str(run_folder), "--out", str(target), *how)
    assert targets[0].read_bytes() == targets[1].read_bytes() != b""


def test_foreign_tokenizers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    made = tokenizers.Tokenizer(tokenizers.models.BPE())
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = tokenizers.decoders.ByteLevel()
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=300, initial_alphabet=alphabet, special_tokens=["<s>"], show_progress=False
    )
    made.train_from_iterator([TEXT], trainer)
    path = tmp_path / "tokenizer.json"
    made.save(str(path))
    where = ["--tokenizer", str(path)]
    call("encode", "--special", "<s>Mia", *where)
    assert capsys.readouterr().out.split()[0] == "0"
    call("encode", "<s>Mia", *where)
    assert "0" not in capsys.readouterr().out.split()
    call("show", "Mia has", *where)
    assert "M i a" in capsys.readouterr().out


def test_a_bar_gives_the_cursor_back_however_the_work_ends() -> None:
    screen = io.StringIO()
    live = LiveProgress(Console(file=screen, force_terminal=True, width=100))
    with pytest.raises(UserError), live as progress:
        progress.start("tokenizing", 10, "bytes")
        progress.update(5, tokens=1234)
        raise UserError("no text")
    assert screen.getvalue().rfind("\x1b[?25h") > screen.getvalue().rfind("\x1b[?25l") >= 0
    assert "tokens 1,234" in screen.getvalue()
