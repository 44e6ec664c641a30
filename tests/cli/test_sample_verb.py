"""``sample``: texts that go on; and which verb is for which kind of model."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from command_line import complaint, product
from tiny_servers import chat_model, config, pretrained, serving, write_run
from untrained_runs import untrained_run

from glassmind.generate import SamplingParams
from glassmind.interop.gguf import save_gguf
from glassmind.llm import open_llm
from glassmind.printable import printable

BEGINNING = "Mia has 3 boxes of"
SHORT = ("--max-tokens", "6")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A run of the recipe ``text``."""
    folder = tmp_path_factory.mktemp("sample") / "text-train"
    untrained_run(folder, "pretrain", config(320))
    return str(folder)


@pytest.fixture(scope="module")
def chatty(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("sample") / "chatty.gguf"
    save_gguf(pretrained(), path)
    return str(path)


def test_a_text_goes_on(trained: str, capsys: pytest.CaptureFixture[str]) -> None:
    greedy = product(capsys, "sample", trained, BEGINNING, "--temperature", "0", *SHORT)
    assert greedy.startswith(BEGINNING)
    assert greedy == product(capsys, "sample", trained, *BEGINNING.split(), "--temperature", "0",
                             *SHORT)  # fmt: skip
    asked = ("sample", trained, BEGINNING, "--samples", "3", "--json", *SHORT)
    found = json.loads(product(capsys, *asked))
    texts = [one["text"] for one in found["continuations"]]
    assert len(set(texts)) > 1
    assert {one["finish"] for one in found["continuations"]} <= {"stop", "length"}
    assert json.loads(product(capsys, *asked)) == found
    assert json.loads(product(capsys, *asked, "--seed", "1")) != found
    several = product(capsys, "sample", trained, BEGINNING, "--samples", "3", *SHORT)
    assert several.count(BEGINNING) == 3
    assert all(printable(text).strip() in several for text in texts)


def test_the_beginning_may_come_from_standard_input(
    trained: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = product(capsys, "sample", trained, BEGINNING, *SHORT)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(f"{BEGINNING}\n".encode())))
    assert product(capsys, "sample", trained, "-", *SHORT) == typed


def test_the_same_text_from_a_server() -> None:
    params = SamplingParams(12, samples=2, seed=3)
    local = chat_model()
    with serving(local) as address:
        remote = open_llm(f"{address}/v1")
        assert remote.continuations(BEGINNING, params) == local.continuations(BEGINNING, params)


def test_which_verb_is_for_which_model(
    trained: str, chatty: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert product(capsys, "sample", chatty, BEGINNING, *SHORT).startswith(BEGINNING)
    reasoner = str(write_run(tmp_path / "run"))
    said = complaint(capsys, "sample", reasoner, BEGINNING)
    assert "was trained only on questions" in said and "glassmind ask --model" in said
    assert "glassmind sample lets it continue a text" in complaint(capsys, "chat", trained)
    sorter = tmp_path / "sorter"
    sorter.mkdir()
    (sorter / "classifier.json").write_text("{}")
    for argv in (("ask", "hi", "--model"), ("chat",), ("serve", "--port", "0"),
                 ("eval", "--task", "test", "--model")):  # fmt: skip
        said = complaint(capsys, *argv, str(sorter))
        assert f"glassmind classify --model {sorter}" in said
    assert f"glassmind classify --model {sorter}" in complaint(capsys, "sample", str(sorter), "hi")


def test_mistakes(trained: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "TEXT is missing" in complaint(capsys, "sample", trained)
    assert "no text to continue" in complaint(capsys, "sample", trained, "")
    assert "--samples must be" in complaint(capsys, "sample", trained, "a", "--samples", "0")
    assert "temperature" in complaint(capsys, "sample", trained, "a", "--temperature", "-1")
    said = complaint(capsys, "sample", trained, "a b " * 300)
    assert "the model reads at most 512" in said
    assert "cannot hold them" in complaint(capsys, "sample", trained, "a b " * 3000)
    assert "more than 20000" in complaint(capsys, "sample", trained, "a" * 20_001)
