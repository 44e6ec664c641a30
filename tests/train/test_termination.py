"""SIGTERM, checkpoints of other runs, and the metrics beside them."""

from __future__ import annotations

import json
import shutil
import signal
import threading
from dataclasses import replace
from pathlib import Path

import crashing
import pytest
import torch
from safetensors.torch import load_file

from glassmind.errors import UserError
from glassmind.train.processes.termination import EXIT_TERMINATED, Termination
from glassmind.train.watching.metrics_file import MetricsFile

STEPS = 6


def end(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(
        folder / "checkpoints" / "pretrain" / f"step-{STEPS:06d}" / "model.safetensors"
    )


def test_sigterm_leaves_a_checkpoint_and_the_run_goes_on_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight, ended = tmp_path / "straight", tmp_path / "ended"
    for folder in (straight, ended):
        folder.mkdir()
    crashing.make_trainer(straight, STEPS).train()
    trainer = crashing.make_trainer(ended, STEPS)
    trainer.config = replace(trainer.config, checkpoint_minutes=1e9)
    before = signal.getsignal(signal.SIGTERM)

    def step_with_a_signal() -> object:
        if trainer.counters.step == 2:
            signal.raise_signal(signal.SIGTERM)
        return type(trainer).take_step(trainer)

    monkeypatch.setattr(trainer, "take_step", step_with_a_signal)
    with pytest.raises(SystemExit) as stopped:
        trainer.train()
    assert stopped.value.code == EXIT_TERMINATED == 143
    assert signal.getsignal(signal.SIGTERM) is before
    assert (ended / "checkpoints" / "pretrain" / "step-000003").is_dir()
    crashing.make_trainer(ended, STEPS).train()
    ours, theirs = end(ended), end(straight)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_a_thread_leaves_signals_alone() -> None:
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def work() -> None:
        with Termination().noticed():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


@pytest.mark.parametrize("other", ["run", "stage"])
def test_a_checkpoint_of_another_run_or_stage_is_refused(other: str, tmp_path: Path) -> None:
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    for folder in (mine, theirs):
        folder.mkdir()
        (folder / "run.json").write_text(json.dumps({"id": folder.name}), "utf-8")
        crashing.make_trainer(folder, 2).train()
    metrics = (mine / "metrics.jsonl").read_bytes()
    place = mine / "checkpoints" / "pretrain"
    if other == "run":
        shutil.rmtree(place)
        shutil.copytree(theirs / "checkpoints" / "pretrain", place)
        trainer = crashing.make_trainer(mine, 4)
    else:
        shutil.copytree(place, mine / "checkpoints" / "other")
        trainer = crashing.make_trainer(mine, 4, stage="other")
    with pytest.raises(UserError, match="is of another run or stage"):
        trainer.train()
    assert (mine / "metrics.jsonl").read_bytes() == metrics


def test_metrics_are_never_cut_within_a_line(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    lines = [json.dumps({"stage": "s", "step": n, "text": "é" * n * 500}) + "\n" for n in range(90)]
    ends = [sum(len(line) for line in lines[:n]) for n in range(91)]
    for n_bytes in (0, 1, ends[1], ends[1] - 1, ends[80], ends[80] + 70_000, ends[90] + 9, -5):
        path.write_text("".join(lines), "utf-8")
        MetricsFile(path, "s").cut(n_bytes)
        kept = max((end for end in ends if end <= n_bytes), default=0)
        assert path.stat().st_size == kept
