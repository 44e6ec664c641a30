"""What long work will take, said before it begins."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from glassmind.llm import LocalLLM, open_llm
from glassmind.pipeline import announcement
from glassmind.pipeline.announcement import (
    Work,
    announce,
    answering_work,
    ladder_work,
    training_work,
)
from glassmind.progress import Silent
from glassmind.records import Problem
from glassmind.runs.recipe import TrainConfig, read_recipe


class Said(Silent):
    def __init__(self) -> None:
        self.sentences: list[str] = []

    def end(self, summary: str = "") -> None:
        self.sentences.append(summary)


def machine(monkeypatch: pytest.MonkeyPatch, operations_a_second: float) -> None:
    monkeypatch.setattr(announcement, "product_operations", lambda module: operations_a_second)


def test_the_operations_of_training_reading_and_writing() -> None:
    """6 for a parameter and token that are trained, 4 where the parameter is frozen, 2 to read."""
    model = nn.Linear(100, 10, bias=False)
    assert Work(trained=7).operations(model) == 6 * 1000 * 7
    assert Work(read=7).operations(model) == 2 * 1000 * 7
    assert Work(written=7).operations(model) == pytest.approx(2.7 * 1000 * 7)
    model.requires_grad_(False)
    assert Work(trained=7).operations(model) == 4 * 1000 * 7


def test_the_tokens_of_a_training_run() -> None:
    config = TrainConfig(steps=250, batch_rows=4, row_tokens=50, accumulate=2, validate_every=100)
    work = training_work(config, held_out=1000, often=10)
    assert work == Work(trained=250 * 400, read=2 * 1000 + 3 * 10)


def test_the_tokens_of_an_evaluation_and_of_a_ladder() -> None:
    llm = open_llm("")
    assert isinstance(llm, LocalLLM)
    problems = [Problem(id=str(n), question="What is 2 + 3?", answer="5") for n in range(40)]
    prompt = len(llm.prompt("What is 2 + 3?", llm.style))
    greedy = answering_work(llm, problems, 0, 100)
    assert greedy == Work(read=40 * prompt + 40 * 50, written=40 * 50)  # it has a verifier
    voted = answering_work(llm, problems, 8, 100)
    assert voted == Work(read=2 * 40 * prompt + 9 * 40 * 50, written=9 * 40 * 50)
    recipe = read_recipe("pretrained")
    work = ladder_work(recipe, tests=400)
    assert work.trained == 100 * 4 * 768
    assert work.written == (400 * 8 + 400 * (2 + 8)) * 64


def test_it_is_said_when_it_is_worth_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    model, work = nn.Linear(1000, 1000, bias=False), Work(trained=1e6, read=5e5)  # 7e12
    said = Said()
    machine(monkeypatch, 7e12)
    announce(work, model, said, "ask less")
    assert said.sentences == []
    machine(monkeypatch, 7e12 / 240)
    announce(work, model, said, "ask less")
    machine(monkeypatch, 7e12 / 1200)
    announce(work, model, said, "ask less")
    tokens = "(tokens: 1,000,000 to train on, 500,000 to read)"
    assert said.sentences == [
        f"This will take about 4 minutes {tokens}",
        f"This will take about 20 minutes {tokens}. To make it shorter, ask less",
    ]


def test_nothing_is_measured_for_little_work_or_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(module: nn.Module) -> float:
        raise AssertionError("measured")

    monkeypatch.setattr(announcement, "product_operations", never)
    said = Said()
    announce(Work(read=10), nn.Linear(100, 100), said, "")
    announce(Work(read=1e15), nn.Linear(100, 100, device=torch.device("meta")), said, "")
    assert said.sentences == []
