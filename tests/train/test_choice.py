"""The choice of a run: kept in the run, remembered on the machine, and it changes no number."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from glassmind.data.batches.loader import RowLoader
from glassmind.data.batches.packing import stream
from glassmind.errors import UserError
from glassmind.model import (
    AttentionConfig,
    ExpertsConfig,
    FeedForwardConfig,
    ModelConfig,
    Transformer,
)
from glassmind.progress import Silent
from glassmind.runs.recipe import TrainConfig
from glassmind.train import Pretrain, Trainer
from glassmind.train.arithmetic import calibration, choice, known_choices
from glassmind.train.arithmetic.calibration import Outcome
from glassmind.train.arithmetic.precision import PrecisionChoice
from glassmind.train.arithmetic.rehearsal import rehearsal
from glassmind.train.processes.process_group import ProcessGroup

CONFIG = TrainConfig(steps=4, batch_rows=2, row_tokens=16, warmup=1, log_every=1)
FOUND = PrecisionChoice("float32", compile=False, threads=1, reason="measured: 1 ms a pass")


class Said(Silent):
    def __init__(self) -> None:
        self.sentences: list[str] = []

    def end(self, summary: str = "") -> None:
        self.sentences.append(summary)


def trainer(folder: Path | None = None, config: TrainConfig = CONFIG, **options: Any) -> Trainer:
    torch.manual_seed(7)
    model = Transformer(
        ModelConfig(
            vocab_size=31,
            max_tokens=16,
            d_model=16,
            n_layers=2,
            attention=AttentionConfig(n_heads=2),
            feed_forward=FeedForwardConfig(kind="swiglu", d_hidden=32),
            experts=ExpertsConfig(n_experts=4, n_active=2, d_hidden=16),
        )
    )
    ids = np.random.default_rng(0).integers(0, 31, 16 * 20).astype(np.int32)
    loader = RowLoader(stream(ids, 16), config.batch_rows, seed=1)
    return Trainer(Pretrain(model), loader, config, stage="pretrain", folder=folder, **options)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[int]:
    """Every run is worth a measurement, which finds ``FOUND`` and is counted; a cache of its own,
    and threads are left open."""
    calls: list[int] = []

    def measure(*arguments: Any) -> Outcome:
        calls.append(1)
        return Outcome(FOUND, undisturbed=True)

    monkeypatch.setattr(choice, "measure", measure)
    monkeypatch.setattr(choice, "is_worth_it", lambda *arguments: True)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    return calls


def test_a_run_keeps_what_it_began_with(measured: list[int], tmp_path: Path) -> None:
    run, said = tmp_path / "run", Said()
    trainer(run, progress=said).train()
    assert measured == [1]
    assert said.sentences[1] == (
        "pretrain: float32, not compiled, 1 thread (measured: 1 ms a pass)"
    )
    written = json.loads((run / "arithmetic.json").read_text("utf-8"))
    assert written["stages"]["pretrain"]["precision"] == "float32"
    # Resumed on a machine that has since been found to be faster another way, without measuring.
    known_choices.note(run, "verifier", replace(FOUND, threads=3))
    for file in (tmp_path / "cache").rglob("*.json"):
        file.unlink()
    assert trainer(run).choice == FOUND
    assert known_choices.noted(run, "verifier") == replace(FOUND, threads=3)
    assert measured == [1]


def test_a_machine_measures_a_shape_once(measured: list[int]) -> None:
    assert trainer().choice == trainer().choice == FOUND
    assert measured == [1]
    trainer(config=replace(CONFIG, batch_rows=4))
    assert measured == [1, 1]


def test_a_busy_machine_s_measurement_is_not_remembered(
    measured: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "measure", lambda *arguments: Outcome(FOUND, undisturbed=False))
    assert trainer().choice == FOUND
    assert known_choices._measured() == {}


def test_what_the_recipe_fixes_is_not_measured(
    measured: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    fixed = replace(CONFIG, precision="bfloat16", compile="off", threads=2)
    chosen = trainer(config=fixed).choice
    assert (chosen.precision, chosen.compile, chosen.threads) == ("bfloat16", False, 2)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    trainer(config=replace(fixed, threads=0))
    assert measured == []


def test_threads_that_the_user_asks_for_win_over_those_a_run_began_with(
    measured: list[int], tmp_path: Path
) -> None:
    known_choices.note(tmp_path, "pretrain", FOUND)
    said = Said()
    assert trainer(tmp_path, replace(CONFIG, threads=3), progress=said).choice.threads == 3
    assert "began with float32, not compiled, 1 thread and continues with" in said.sentences[0]


def test_a_damaged_cache_counts_as_empty_and_is_replaced(
    measured: list[int], tmp_path: Path
) -> None:
    file = tmp_path / "cache" / "glassmind" / "measured.json"
    file.parent.mkdir(parents=True)
    for damage in (
        '{"measured": {"a": {"precision": "float8"}}}',
        "{",
        "[" * 10_000,
        "\0" * 600_000,
    ):
        file.write_text(damage, "utf-8")
        assert trainer().choice == FOUND
        assert len(known_choices._measured()) == 1
    assert measured == [1] * 4
    file.unlink()
    file.mkdir()  # what cannot be written
    assert trainer().choice == FOUND


def test_a_damaged_note_of_a_run_is_refused(tmp_path: Path) -> None:
    (tmp_path / "arithmetic.json").write_text('{"stages": 3}', "utf-8")
    with pytest.raises(UserError, match=r"arithmetic\.json"):
        trainer(tmp_path)


def test_the_cache_keeps_the_newest(measured: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_choices, "MOST", 2)
    for key in ("a", "b", "c", "b"):
        known_choices.remember(key, FOUND)
    assert list(known_choices._measured()) == ["c", "b"]


def test_a_rehearsal_leaves_no_trace() -> None:
    """A router counts tokens, and the loader goes on, only for steps that count."""
    mine = trainer(config=replace(CONFIG, compile="off"))
    with rehearsal(mine.objective, mine.source, mine.device, ProcessGroup()) as rehearse:
        assert rehearse(FOUND) > 0 and rehearse(replace(FOUND, precision="bfloat16")) > 0
        torch.rand(3)
    other = trainer(config=replace(CONFIG, compile="off"))
    for one in (mine, other):
        torch.manual_seed(1)
        one.train()
    for a, b in zip(
        mine.objective.module.parameters(), other.objective.module.parameters(), strict=True
    ):
        assert torch.equal(a, b)


def test_measuring_changes_no_number(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The real measurement, of the few passes that a tiny model takes, without compiling."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(calibration, "_SECONDS", 0.01)  # one pass of each is enough here
    plain = trainer(config=replace(CONFIG, compile="off", precision="float32"))
    monkeypatch.setattr(choice, "is_worth_it", lambda *arguments: True)
    tried = trainer(config=replace(CONFIG, compile="off"))
    assert tried.choice.reason.startswith("measured: ")
    tried.choice = plain.choice  # whatever this machine is good at
    for one in (plain, tried):
        torch.manual_seed(1)
        one.train()
    for a, b in zip(
        plain.objective.module.parameters(), tried.objective.module.parameters(), strict=True
    ):
        assert torch.equal(a, b)
