"""Pretraining through the pipeline: the same rows as ever, resumed, filtered, refused."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glassmind.data.batches.loader import Rows
from glassmind.data.batches.packing import STRUCTURE, stream
from glassmind.data.pretraining.token_shards import mapped_ids, open_shard
from glassmind.errors import UserError
from glassmind.model import AttentionConfig, ModelConfig
from glassmind.pipeline import pretraining, text_rows
from glassmind.pipeline.stages import Job
from glassmind.pipeline.training import run_training
from glassmind.progress import Silent
from glassmind.runs.recipe import FilterConfig, PretrainConfig, Recipe, TokenizerConfig, TrainConfig
from glassmind.serialization import read_json
from glassmind.tokenize import SPECIAL_IDS, load, train_bpe, train_char
from glassmind.tokenize.special import END

RECIPE = Recipe(
    name="tiny",
    seed=2,
    objective="pretrain",
    tokenizer=TokenizerConfig("char"),
    model=ModelConfig(max_tokens=32, d_model=32, n_layers=1, attention=AttentionConfig(n_heads=2)),
    train=TrainConfig(
        steps=3,
        batch_rows=4,
        row_tokens=32,
        warmup=1,
        log_every=1,
        checkpoint_minutes=0.0,
        precision="float32",
        compile="off",
    ),
)
STORY = "The cat sat on the mat, and the dog sat on the log, for it was late. "


def recipe_for(path: Path, **config: Any) -> Recipe:
    return replace(RECIPE, pretrain=PretrainConfig(str(path), **config))


@pytest.fixture
def trained_rows(monkeypatch: pytest.MonkeyPatch) -> list[Rows]:
    """Let a run stop where training would begin, and keep the rows it would have read."""
    seen: list[Rows] = []

    def remember(job: Job, stage: str, make_rows: Any, held_out: Any) -> None:
        seen.append(make_rows())

    monkeypatch.setattr(pretraining, "train_language_model", remember)
    monkeypatch.setattr(pretraining, "validation_loss", lambda *arguments: 1.0)
    monkeypatch.setattr(pretraining, "Pretrain", lambda model: None)
    return seen


def ids_of(run: Path, part: str) -> list[int]:
    path = run / "tokens" / f"{part}.bin"
    shard = open_shard(path, load(run / "tokenizer.json"))
    assert shard is not None
    return mapped_ids(path, shard).tolist()


@pytest.mark.parametrize("kind", ["char", "bpe"])
def test_one_text_file_gives_the_rows_of_the_whole_text_in_memory(
    data_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    trained_rows: list[Rows],
    kind: str,
) -> None:
    """The plain way: read all, cut by characters, encode each half, cut into rows."""
    monkeypatch.setattr("glassmind.tokenize.bpe.presplit._BLOCK", 1 << 16)
    path = tmp_path / "play.txt"
    path.write_bytes((data_folder / "text" / "tinyshakespeare.txt").read_bytes()[:300_000])
    recipe = replace(
        recipe_for(path, validation_fraction=0.02), tokenizer=TokenizerConfig(kind, 300)
    )
    run = run_training(recipe, tmp_path / "run")
    text = path.read_bytes().decode("utf-8")
    cut = int(len(text) * (1 - 0.02))  # beyond the first stretches of the file
    plain = train_char([text[:cut]]) if kind == "char" else train_bpe([text[:cut]], 300)
    memory = stream(np.array(plain.encode(text[:cut]), np.int32), 32)
    rows = trained_rows[0].take(slice(None))
    for name in STRUCTURE:
        np.testing.assert_array_equal(getattr(rows, name), getattr(memory, name), name)
    assert ids_of(run.path, "validation") == plain.encode(text[cut:])
    measured = read_json(run.path / "validation.json")
    assert measured["bytes"] == len(text[cut:].encode("utf-8"))
    assert measured["tokens"] == len(plain.encode(text[cut:]))


def test_documents_and_a_validation_file(tmp_path: Path, trained_rows: list[Rows]) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text(f"{STORY}\n\x1e\nTwo. {STORY}\n")
    (tmp_path / "texts" / "b.jsonl").write_text(json.dumps({"body": f"Three. {STORY * 2}"}))
    (tmp_path / "held.txt").write_text(STORY)
    recipe = recipe_for(
        tmp_path / "texts",
        field="body",
        separator="\\x1e",
        validation_file=str(tmp_path / "held.txt"),
        document_mask=True,
    )
    run = run_training(recipe, tmp_path / "run")
    tokenizer = load(run.path / "tokenizer.json")
    texts = [STORY, f"Two. {STORY}", f"Three. {STORY * 2}"]
    expected: list[int] = []
    for text in texts:
        expected += [SPECIAL_IDS[END]] * bool(expected) + tokenizer.encode(text)
    assert ids_of(run.path, "train") == expected
    assert ids_of(run.path, "validation") == tokenizer.encode(STORY)
    rows = trained_rows[0].take(slice(None))
    assert rows.documents.max() == 2  # a row in which one document ends and another begins
    assert rows.positions[rows.documents == 2].min() == 0


def test_a_run_is_resumed_to_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "book.txt").write_text(STORY * 40)
    recipe = recipe_for(tmp_path / "book.txt", document_mask=True, separator=". ")
    once = run_training(recipe, tmp_path / "once").path
    write = text_rows.write_shard
    calls: list[Path] = []

    def killed(target: Path, *arguments: Any, **options: Any) -> Any:
        calls.append(target)
        if len(calls) == 2:  # the training part is there, the other is not
            (target.parent / f".{target.name}.123").write_bytes(b"half")
            raise KeyboardInterrupt
        return write(target, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(text_rows, "write_shard", killed)
        with pytest.raises(KeyboardInterrupt):
            run_training(recipe, tmp_path / "again")
    run_training(recipe, tmp_path / "again", resume=True)
    for name in ("tokens/train.bin", "tokens/validation.bin", "validation.json"):
        assert (once / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    assert {file.name for file in (tmp_path / "again" / "tokens").iterdir()} == {
        "train.bin", "train.json", "validation.bin", "validation.json",
    }  # fmt: skip
    (tmp_path / "book.txt").unlink()  # the tokens are there, the text is no longer needed
    run_training(recipe, tmp_path / "again", resume=True)
    (tmp_path / "again" / "tokens" / "train.bin").write_bytes(b"damaged")
    with pytest.raises(UserError, match="there is no text file"):
        run_training(recipe, tmp_path / "again", resume=True)
    assert (tmp_path / "again" / "recipe.toml").is_file()  # an old run is not thrown away
    (tmp_path / "book.txt").write_text(STORY * 40)
    run_training(recipe, tmp_path / "again", resume=True)
    name = "tokens/train.bin"
    assert (once / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_filters_are_reported_and_obeyed(tmp_path: Path, trained_rows: list[Rows]) -> None:
    rng = random.Random(0)
    stories = [" ".join(f"word{rng.randrange(500)}" for _ in range(30)) for _ in range(6)]
    question = " ".join(stories[4].split()[5:15])
    texts = [*stories, stories[0].upper()]
    lines = "".join(json.dumps({"text": text}) + "\n" for text in texts)
    (tmp_path / "web.jsonl").write_text(lines)
    (tmp_path / "test.jsonl").write_text(json.dumps({"question": question, "answer": 3}) + "\n")
    filters = FilterConfig(near_duplicates=0.8, against=(str(tmp_path / "test.jsonl"),), ngram=8)
    said: list[str] = []

    class Listening(Silent):
        def end(self, summary: str = "") -> None:
            said.append(summary)

    recipe = recipe_for(tmp_path / "web.jsonl", filter=filters, validation_fraction=0.0)
    run = run_training(recipe, tmp_path / "run", progress=Listening())
    tokenizer = load(run.path / "tokenizer.json")
    kept = tokenizer.decode(ids_of(run.path, "train"))
    assert kept == "".join(stories[:4]) + stories[5]
    report = read_json(run.path / "data-report.json")
    assert report["near_duplicates"]["examples"][0]["where"].endswith("web.jsonl line 7")
    assert report["contamination"]["documents"] == 1
    assert any(
        "7 documents 1 were removed as near duplicates, 1 were removed and 0" in sentence
        for sentence in said
    )
    assert not (run.path / "validation.json").exists()


BAD: dict[str, tuple[str, dict[str, Any], str]] = {
    "one line": ("To be.", {}, "has only 6 characters to train on, less than one row of 32"),
    "few tokens": ("ab " * 11, {}, "the text has only 29 tokens, less than one row of 32"),
    "few rows": (STORY, {}, "a batch wants 4 rows and the data fills only 1"),
    "zero": ("To be\0", {}, r"binary \(byte 5 is 0x00\)"),
    "no validation file": (
        STORY * 9,
        {"validation_file": "no.txt"},
        "there is no text file no.txt",
    ),
    "no evaluation": (STORY * 9, {"filter": FilterConfig(against=("no.txt",))}, "no text file no"),
    "all filtered": (
        "one two three four five\n" * 2,
        {"filter": FilterConfig(against=("book.txt",), ngram=3)},
        "has only 0 characters to train on",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_text_that_cannot_be_used_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    monkeypatch.chdir(tmp_path)
    content, config, sentence = BAD[case]
    Path("book.txt").write_text(content)
    with pytest.raises(UserError, match=sentence):
        run_training(recipe_for(Path("book.txt"), **config), Path("run"))
    assert not Path("run").exists()


def test_a_full_disk_is_found_out_before_it_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "book.txt").write_text(STORY * 40)

    def full(folder: Path, n_bytes: int) -> None:
        raise UserError(f"the disk of {folder.name} is full")

    monkeypatch.setattr(text_rows, "require_space", full)
    with pytest.raises(UserError, match="the disk of tokens is full"):
        run_training(recipe_for(tmp_path / "book.txt"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_else_lies_in_the_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "book.txt").write_text(STORY)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".gitkeep").touch()
    with pytest.raises(UserError, match="a batch wants 4 rows"):
        run_training(recipe_for(tmp_path / "book.txt"), tmp_path / "run")
    assert [file.name for file in (tmp_path / "run").iterdir()] == [".gitkeep"]
