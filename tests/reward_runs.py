"""What tests of runs on rewards share: a model, a reward to learn, and a run's figures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from glassmind.model import AttentionConfig, ModelConfig
from glassmind.reason import reward_registry
from glassmind.reason.reward import Reward
from glassmind.records import Completion, Problem

TINY = ModelConfig(
    300, max_tokens=192, d_model=16, n_layers=1, attention=AttentionConfig(n_heads=2)
)


def _even(problem: Problem, completion: Completion) -> float:
    ids = completion.token_ids
    return sum(token % 2 == 0 for token in ids) / max(len(ids), 1)


EVEN = Reward("even", "even tokens", "The share of even tokens.", _even)


def offer(monkeypatch: pytest.MonkeyPatch, *rewards: Reward) -> None:
    """Let recipes name these rewards, as long as the test runs."""
    for reward in rewards:
        monkeypatch.setitem(reward_registry._registry, reward.name, reward)


def logged(run: str, name: str) -> list[float]:
    """A figure of the run's ``metrics.jsonl``, from every row that has it."""
    rows = map(json.loads, Path(run, "metrics.jsonl").read_text("utf-8").splitlines())
    return [row[name] for row in rows if name in row]
