"""``--draft`` of ``chat`` and ``serve``: the same answers, and what cannot draft is refused."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from command_line import complaint, product
from tiny_servers import pretrained

from glassmind.interop.gguf import save_gguf


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("draft") / "tiny.gguf"
    save_gguf(pretrained(), path)
    return str(path)


def test_a_draft_changes_no_greedy_answer(
    model: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = []
    for draft in ([], ["--draft", model]):
        monkeypatch.setattr(sys, "stdin", io.StringIO("Hello\n"))
        how = [*draft, "--temperature", "0", "--max-tokens", "20"]
        answers.append(product(capsys, "chat", model, *how))
    assert answers[0] == answers[1] != ""


@pytest.mark.parametrize("verb", [["chat"], ["serve", "--port", "0"]], ids=["chat", "serve"])
def test_what_cannot_draft(
    model: str, verb: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = complaint(capsys, *verb, model, "--draft", "word-problems")
    assert "word-problems cannot draft for tiny" in other
    assert "its tokens differ" in other
    assert "nowhere" in complaint(capsys, *verb, model, "--draft", str(tmp_path / "nowhere"))
    assert "did you mean smollm2?" in complaint(capsys, *verb, model, "--draft", "smollm")
