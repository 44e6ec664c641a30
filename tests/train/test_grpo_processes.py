"""Learning from reward in several processes: the update of one, up to rounding."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from processes import needs_gloo, together
from reward_runs import EVEN, offer
from untrained_runs import untrained_run

from glassmind.cli.settings import apply_overrides
from glassmind.errors import UserError
from glassmind.model import AttentionConfig, ModelConfig
from glassmind.pipeline.training import run_training
from glassmind.reason import reward_registry
from glassmind.runs.checkpoint import load_tensors
from glassmind.runs.recipe import read_recipe
from glassmind.runs.reward_groups import read_groups
from glassmind.train.processes.launch import launched
from glassmind.train.watching.metrics_file import CLOCK_FIELDS

pytestmark = [needs_gloo, pytest.mark.usefixtures("scratch")]

STEPS = 4
SETTINGS = (
    *(f"train.steps={STEPS}", "train.row_tokens=96", "train.precision=float32"),
    *("train.log_every=1", "train.warmup=1", "train.muon_lr=0.02", "train.adamw_lr=0.01"),
    *("train.accumulate=2", "train.batch_rows=4", "sampling.max_new_tokens=12", "start=start"),
    *("problems.train=24", "problems.validation=8", "problems.test=8", "options.questions=4"),
    *("options.group=3", "options.passes=2", "options.old=trainer", "options.kl=0.05"),
    "options.reward=answer + 0.5 * even",
)


def train(place: str, parallel: str, folder: str) -> None:
    os.chdir(place)
    torch.set_num_threads(1)
    reward_registry._registry.setdefault("even", EVEN)
    recipe = apply_overrides(read_recipe("grpo"), [*SETTINGS, f"train.parallel={parallel}"])
    with launched() as launch:
        group = launch.join(parallel, torch.device("cpu"))  # type: ignore[arg-type]
        run_training(recipe, Path(folder), group=group)


@pytest.fixture
def place(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A folder with a run to start from."""
    offer(monkeypatch, EVEN)
    attention = AttentionConfig(n_heads=2)
    model = ModelConfig(300, max_tokens=96, d_model=16, n_layers=1, attention=attention)
    untrained_run(scratch / "start", "chain-of-thought", model)
    return str(scratch)


def rows(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "metrics.jsonl").read_text("utf-8").splitlines()
    return [{k: v for k, v in json.loads(s).items() if k not in CLOCK_FIELDS} for s in lines]


def test_two_processes_learn_as_one(place: str) -> None:
    train(place, "none", "one")
    assert together(2, train, place, "ddp", "two") == [None, None]
    one, two = (Path(place, name) for name in ("one", "two"))
    weights, others = (
        load_tensors(run / "models" / "chain-of-thought" / "model.safetensors")
        for run in (one, two)
    )
    for name, weight in weights.items():
        np.testing.assert_allclose(others[name], weight, rtol=2e-3, atol=2e-4)
    for mine, single in zip(rows(two), rows(one), strict=True):
        assert mine.keys() == single.keys()
        assert mine.get("ratio_first", 0.0) == 0.0
        for name in ("reward", "reward_even", "solve_rate", "length", "groups"):
            assert mine[name] == pytest.approx(single[name], rel=1e-6), name
        assert mine["entropy"] == pytest.approx(single["entropy"], rel=1e-3)
    ours, theirs = read_groups(two), read_groups(one)
    assert len(ours) == STEPS
    for group, other in zip(ours, theirs, strict=True):  # also what the other process computed
        assert group.problem == other.problem
        for completion, same in zip(group.completions, other.completions, strict=True):
            assert completion.ids == same.ids
            np.testing.assert_allclose(completion.logprobs, same.logprobs, atol=2e-3)
            assert completion.reference_logprobs is not None
            assert all(completion.logprobs) and all(completion.reference_logprobs)


def test_split_weights_cannot_sample(place: str) -> None:
    told = together(2, train, place, "fsdp", "run")
    sentences = [str(one) for one in told if isinstance(one, UserError)]
    assert sentences and "no process has the whole model to sample with: set it to" in sentences[0]
    assert not Path(place, "run").exists()
