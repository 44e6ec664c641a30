"""Hostile and damaged tokenizer files: a ``UserError`` or a tokenizer that works, nothing else.

``corpus/tokenizers`` keeps the files that were worth keeping, one a folder or file, named after
what is wrong with it; those called ``fine`` are whole, and what is drawn at random is made from
them. A ``.facts`` file holds what a GGUF would say.
"""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from glassmind.errors import UserError
from glassmind.interop.tokenizers import (
    load_tokenizer,
    read_gguf_tokenizer,
    to_gguf_metadata,
    write_tokenizer_json,
)
from glassmind.tokenize.composed import patterns
from glassmind.tokenize.composed.character_bpe import CharacterBPE
from glassmind.tokenize.composed.tokenizer import ComposedTokenizer
from glassmind.tokenize.composed.wordpiece import WordPiece

CORPUS = Path(__file__).parent / "corpus" / "tokenizers"
KEPT = sorted(CORPUS.iterdir())
FINE = [path for path in KEPT if "fine" in path.stem]
TEXTS = ["", "ab a", "Ab 12!\n  é€😀", "<s> </s> <|end|>", "a" * 300, b"\xff ab\x80", "a\ud800b"]
DRAWN = settings(max_examples=80, suppress_health_check=list(HealthCheck))

HARMLESS = {  # strange, and nothing is wrong with it
    *("charsmap-circles.json", "gpt2-empty", "merge-makes-its-own-part.json"),
    "sentencepiece-charsmap-circles.model",
}
ONLY_IN_USE = {  # says it when text comes
    *("doubling-decoder.json", "doubling-nested.json", "doubling-normalizer.json"),
    "regex-bomb.json",
}


@pytest.fixture(autouse=True)
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "_SECONDS", 0.2)


def read(path: Path) -> ComposedTokenizer:
    if path.suffix == ".facts":
        return read_gguf_tokenizer(json.loads(path.read_text("utf-8")), path)
    tokenizer = load_tokenizer(path)
    assert isinstance(tokenizer, ComposedTokenizer)
    return tokenizer


def use(tokenizer: ComposedTokenizer) -> None:
    """Everything that depends on what a file says."""
    model = tokenizer.model
    special = set(tokenizer.special.values())
    if isinstance(model, CharacterBPE | WordPiece):
        special.discard(-1 if model.unk is None else model.vocab.get(model.unk, -1))
    else:
        special.clear()  # bytes and unknown characters may be special there
    for text in TEXTS:
        ids = tokenizer.encode(text)
        assert all(0 <= token_id < tokenizer.vocab_size for token_id in ids)
        assert special.isdisjoint(ids)
        tokenizer.encode_marked(text, template=True)
        tokenizer.decode(ids)
        tokenizer.decode(ids, skip_special=False)
        tokenizer.decode_bytes(ids)
    for token_id in range(min(tokenizer.vocab_size, 300)):
        assert tokenizer.token_text(token_id)
    assert len(tokenizer.fingerprint) == 64


def survive(path: Path) -> None:
    try:
        use(read(path))
    except UserError as error:
        assert len(str(error)) < 2000


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.name)
def test_what_was_kept(path: Path) -> None:
    if path in FINE or path.name in HARMLESS:
        use(read(path))
    elif path.name in ONLY_IN_USE:
        tokenizer = read(path)
        with pytest.raises(UserError, match=r"tokenizer's (rules|pattern)"):
            use(tokenizer)
    else:
        with pytest.raises(UserError, match=path.stem):  # the error names the file
            read(path)


@pytest.mark.parametrize("path", FINE, ids=lambda path: path.name)
def test_what_is_fine_can_be_written_and_read_again(path: Path, tmp_path: Path) -> None:
    tokenizer = read(path)
    write_tokenizer_json(tokenizer, tmp_path / "tokenizer.json")
    again = read(tmp_path)
    for text in ("ab a", "abab", "ba"):
        assert again.encode(text) == tokenizer.encode(text)


junk = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 300),
    st.sampled_from([-(10**15), 2**31, 2**63, 10**15, 10**30, 1e300, float("nan"), 0.5]),
    st.text(max_size=4),
    st.sampled_from(
        ["a", "ab", "<s>", "\ud800", "x" * 2000, "(a|aa)+[bc]", "ByteLevel", "Sequence"]
    ),
    st.lists(st.integers(0, 3), max_size=3),
    st.dictionaries(st.sampled_from(["type", "content", "a", "Regex"]), st.text(max_size=2)),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where something stands in a document; of long lists and vocabularies only the first few."""
    keys: list[Any] = []
    if isinstance(value, dict):
        keys = list(value)[:20]
    elif isinstance(value, list):
        keys = list(range(min(len(value), 5)))
    return [place for key in keys for place in [(*path, key), *places(value[key], (*path, key))]]


def damage(document: Any, data: st.DataObject) -> Any:
    """A copy in which one to three things are missing, other things, or things from elsewhere."""
    document = copy.deepcopy(document)
    for _ in range(data.draw(st.integers(1, 3))):
        everywhere = places(document)
        if not everywhere:
            break
        *way, last = data.draw(st.sampled_from(everywhere))
        holder = document
        for key in way:
            holder = holder[key]
        kind = data.draw(st.sampled_from(["junk", "missing", "elsewhere"]))
        if kind == "missing":
            del holder[last]
        elif kind == "junk":
            holder[last] = data.draw(junk)
        else:
            found = document
            for key in data.draw(st.sampled_from(everywhere)):
                found = found[key]
            holder[last] = copy.deepcopy(found)
    return document


@pytest.mark.parametrize(
    "path", [p for p in FINE if p.suffix in (".json", ".facts")], ids=lambda path: path.name
)
def test_documents_with_other_things_in_them(path: Path, tmp_path: Path) -> None:
    whole = json.loads(path.read_text("utf-8"))
    target = tmp_path / f"damaged{path.suffix}"

    @DRAWN
    @given(st.data())
    def check(data: st.DataObject) -> None:
        target.write_text(json.dumps(damage(whole, data)), "utf-8")
        survive(target)

    check()


FILES = [file for path in FINE for file in ([path] if path.is_file() else sorted(path.iterdir()))]


@pytest.mark.parametrize(
    "file", [f for f in FILES if f.suffix != ".facts"], ids=lambda f: f"{f.parent.name}/{f.name}"
)
def test_files_with_other_bytes_in_them(file: Path, tmp_path: Path) -> None:
    whole = file.read_bytes()
    for neighbour in file.parent.iterdir() if file.parent != CORPUS else ():
        shutil.copy(neighbour, tmp_path)
    target = tmp_path / file.name

    @DRAWN
    @given(st.data())
    def check(data: st.DataObject) -> None:
        damaged = bytearray(whole)
        for _ in range(data.draw(st.integers(0, 4))):
            at = data.draw(st.integers(0, len(whole) - 1))
            damaged[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
        if data.draw(st.booleans()):
            del damaged[data.draw(st.integers(0, len(damaged))) :]
        target.write_bytes(damaged)
        survive(target)

    check()


@DRAWN
@given(st.binary(max_size=200))
def test_bytes_that_are_nothing(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    folder = tmp_path_factory.mktemp("nothing")
    for name in ("tokenizer.json", "tokenizer.model", "gpt2.tiktoken", "vocab.bpe", "x.gguf"):
        (folder / name).write_bytes(data)
        survive(folder / name)


@pytest.mark.parametrize("path", [p for p in FINE if p.suffix == ".facts"], ids=lambda p: p.name)
def test_facts_go_round(path: Path) -> None:
    tokenizer = read(path)
    if path.name == "gguf-fine-llama.facts":  # without a token for each byte
        with pytest.raises(UserError, match="a GGUF can hold"):
            to_gguf_metadata(tokenizer)
        return
    again = read_gguf_tokenizer(to_gguf_metadata(tokenizer), path)
    assert again.encode("ab a") == tokenizer.encode("ab a")
