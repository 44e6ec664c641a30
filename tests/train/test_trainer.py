"""The trainer: what an interruption may not change, and what must stop it."""

from __future__ import annotations

import io
import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from interrupt import Stop
from rich.console import Console
from torch import Tensor, nn

from glassmind.cli.live import LiveProgress
from glassmind.data.batches.loader import RowLoader
from glassmind.data.batches.packing import stream
from glassmind.errors import UserError
from glassmind.model import AttentionConfig, ModelConfig, Transformer
from glassmind.progress import Silent
from glassmind.runs import checkpoint
from glassmind.runs.recipe import TrainConfig
from glassmind.train import Batch, Pretrain, Trainer

CONFIG = TrainConfig(
    steps=12,
    batch_rows=4,
    row_tokens=16,
    warmup=3,
    log_every=1,
    checkpoint_minutes=0.0,  # after every step
    weight_decay=0.01,
    precision="float32",
    compile="off",
)


def make_trainer(
    folder: Path | None, config: TrainConfig = CONFIG, stage: str = "pretrain", **options: Any
) -> Trainer:
    """Everything fresh, as a new process would make it."""
    torch.manual_seed(7)
    attention = AttentionConfig(n_heads=2)
    model = Transformer(
        ModelConfig(vocab_size=31, max_tokens=16, d_model=16, n_layers=2, attention=attention)
    )
    ids = np.random.default_rng(0).integers(0, 31, 16 * 20).astype(np.int32)
    loader = RowLoader(stream(ids, 16), config.batch_rows, seed=1)
    return Trainer(Pretrain(model), loader, config, stage=stage, folder=folder, **options)


def weights(trainer: Trainer) -> dict[str, Tensor]:
    return {name: p.detach() for name, p in trainer.objective.module.named_parameters()}


def rows(folder: Path) -> list[dict[str, Any]]:
    """The metrics without what depends on the clock."""
    lines = (folder / "metrics.jsonl").read_text("utf-8").splitlines()
    timed = ("seconds", "tokens_per_second")
    return [{k: v for k, v in json.loads(line).items() if k not in timed} for line in lines]


def assert_same_end(one: Trainer, two: Trainer) -> None:
    """Weights, optimizer state and metrics agree bit for bit."""
    for mine, other in (
        (weights(one), weights(two)),
        (one.optimizers.state(), two.optimizers.state()),
    ):
        assert mine.keys() == other.keys()
        assert all(torch.equal(mine[name], other[name]) for name in mine)
    assert (one.counters.step, one.counters.tokens) == (two.counters.step, two.counters.tokens)
    assert one.source.state() == two.source.state()
    if one.folder is not None and two.folder is not None:
        assert rows(one.folder) == rows(two.folder)


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    """Twelve steps in one go."""
    trainer = make_trainer(tmp_path_factory.mktemp("straight"))
    trainer.train()
    return trainer


def interrupted(folder: Path, at: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        make_trainer(folder, progress=Stop(at)).train()


# --------------------------------------------------------------------------------- resumption


@pytest.mark.parametrize("at", [2, 7, 12])
def test_resumed_training_is_the_uninterrupted_one(
    at: int, straight: Trainer, tmp_path: Path
) -> None:
    interrupted(tmp_path, at)
    assert len(rows(tmp_path)) == at  # the row of the lost step is there, and comes again
    resumed = make_trainer(tmp_path)
    torch.rand(5)  # a new process has drawn other random numbers
    resumed.train()
    assert_same_end(resumed, straight)


def test_an_interruption_before_any_checkpoint_starts_over(
    straight: Trainer, tmp_path: Path
) -> None:
    interrupted(tmp_path, 1)
    assert checkpoint.newest(tmp_path / "checkpoints" / "pretrain") is None
    resumed = make_trainer(tmp_path)
    resumed.train()
    assert_same_end(resumed, straight)


def test_two_interruptions(straight: Trainer, tmp_path: Path) -> None:
    interrupted(tmp_path, 4)
    interrupted(tmp_path, 9)
    resumed = make_trainer(tmp_path)
    resumed.train()
    assert_same_end(resumed, straight)


def test_training_a_finished_run_again_changes_nothing(straight: Trainer, tmp_path: Path) -> None:
    assert straight.folder is not None
    folder = tmp_path / "copy"
    shutil.copytree(straight.folder, folder)
    again = make_trainer(folder)
    again.train()
    assert_same_end(again, straight)


def test_a_damaged_newest_checkpoint_falls_back(straight: Trainer, tmp_path: Path) -> None:
    interrupted(tmp_path, 9)
    steps = sorted((tmp_path / "checkpoints" / "pretrain").iterdir())
    assert [s.name for s in steps] == ["step-000007", "step-000008"]
    broken = steps[1] / "model.safetensors"
    broken.write_bytes(broken.read_bytes()[:-10])
    said: list[str] = []

    class Listen(Silent):
        def end(self, summary: str = "") -> None:
            said.append(summary)

    resumed = make_trainer(tmp_path, progress=Listen())
    resumed.train()
    assert "step-000008" in said[0]
    assert "going back" in said[0]
    assert_same_end(resumed, straight)


def test_when_all_checkpoints_are_damaged_training_starts_over(
    straight: Trainer, tmp_path: Path
) -> None:
    interrupted(tmp_path, 9)
    for state in tmp_path.glob("checkpoints/*/*/state.json"):
        state.write_text("{", "utf-8")
    resumed = make_trainer(tmp_path)
    resumed.train()
    assert_same_end(resumed, straight)


def test_stages_share_a_folder_and_keep_their_rows(tmp_path: Path) -> None:
    make_trainer(tmp_path, stage="base").train()
    with pytest.raises(KeyboardInterrupt):
        make_trainer(tmp_path, stage="verifier", progress=Stop(1)).train()
    make_trainer(tmp_path, stage="verifier").train()
    assert [(r["stage"], r["step"]) for r in rows(tmp_path)] == [
        (stage, step) for stage in ("base", "verifier") for step in range(1, 13)
    ]


def test_old_checkpoints_are_deleted(tmp_path: Path) -> None:
    make_trainer(tmp_path, replace(CONFIG, keep_checkpoints=3)).train()
    names = sorted(p.name for p in (tmp_path / "checkpoints" / "pretrain").iterdir())
    assert names == ["step-000010", "step-000011", "step-000012"]


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    interrupted(tmp_path, 3)
    other = make_trainer(tmp_path)
    other.objective.module.register_parameter("extra", nn.Parameter(torch.zeros(2)))
    with pytest.raises(UserError, match="for another model"):
        other.train()


def without_checksum(path: Path) -> dict[str, Any]:
    """The state of a checkpoint as a version before there was a checksum of it wrote it."""
    state: dict[str, Any] = json.loads(path.read_text("utf-8")) | {"format": 2}
    del state["state_checksum"]
    return state


def test_a_foreign_checkpoint_is_refused_by_a_sentence(tmp_path: Path) -> None:
    interrupted(tmp_path, 3)
    for path in tmp_path.glob("checkpoints/*/*/state.json"):
        state = without_checksum(path)
        del state["source"]
        path.write_text(json.dumps(state), "utf-8")
    with pytest.raises(UserError):
        make_trainer(tmp_path).train()


def test_a_checkpoint_of_before_there_were_other_sources_is_resumed(
    straight: Trainer, tmp_path: Path
) -> None:
    interrupted(tmp_path, 5)
    for path in tmp_path.glob("checkpoints/*/*/state.json"):
        state = without_checksum(path)
        state["loader"] = state.pop("source")
        del state["objective"]
        path.write_text(json.dumps(state), "utf-8")
    resumed = make_trainer(tmp_path)
    resumed.train()
    assert_same_end(resumed, straight)


def test_half_a_row_of_metrics_does_not_stop_a_restart(straight: Trainer, tmp_path: Path) -> None:
    """A killed process or a full disk leaves half a line."""
    interrupted(tmp_path, 1)
    with (tmp_path / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"stage": "pretrain", "st')
    resumed = make_trainer(tmp_path)
    resumed.train()
    assert_same_end(resumed, straight)


# -------------------------------------------------------------------------------------- steps


def test_metrics_say_what_happened(straight: Trainer) -> None:
    assert straight.folder is not None
    found = rows(straight.folder)
    assert [row["step"] for row in found] == list(range(1, 13))
    assert all(row["stage"] == "pretrain" for row in found)
    assert [row["tokens"] for row in found] == [64 * n for n in range(1, 13)]
    assert found[0]["loss"] == pytest.approx(math.log(31), rel=0.05)
    assert found[-1]["loss"] < found[0]["loss"]
    assert [row["lr"] for row in found[:4]] == pytest.approx([1 / 3, 2 / 3, 1, 1])


def test_rows_are_averaged_between_logs(straight: Trainer, tmp_path: Path) -> None:
    assert straight.folder is not None
    single = [row["loss"] for row in rows(straight.folder)]
    make_trainer(tmp_path, replace(CONFIG, log_every=5)).train()
    found = rows(tmp_path)
    assert [row["step"] for row in found] == [5, 10, 12]
    means = [sum(part) / len(part) for part in (single[:5], single[5:10], single[10:])]
    assert [row["loss"] for row in found] == pytest.approx(means, rel=1e-5)


def test_accumulated_micro_batches_are_a_full_batch() -> None:
    whole = make_trainer(None, replace(CONFIG, steps=5))
    whole.train()
    parts = make_trainer(None, replace(CONFIG, steps=5, batch_rows=2, accumulate=2))
    parts.train()  # the permutation is the same, so two halves are the same four rows
    assert parts.counters.tokens == whole.counters.tokens
    for name, value in weights(parts).items():
        torch.testing.assert_close(value, weights(whole)[name], atol=2e-4, rtol=0)


def test_gradients_are_clipped() -> None:
    """The step's gradient is as long as ``clip`` allows, seen just before the optimizers."""
    lengths = []
    for clip in (0.01, 0.0):
        trainer = make_trainer(None, replace(CONFIG, steps=1, clip=clip))
        step = trainer.optimizers.step

        def look(factor: float, skip: None, trainer: Trainer = trainer, step: Any = step) -> None:
            grads = [p.grad for p in trainer.objective.module.parameters() if p.grad is not None]
            lengths.append(math.sqrt(sum(float(g.square().sum()) for g in grads)))
            step(factor, skip)

        trainer.optimizers.step = look  # type: ignore[method-assign]
        trainer.train()
    assert lengths[0] == pytest.approx(0.01, rel=1e-3)
    assert lengths[1] > 0.05


def test_without_muon_adamw_trains_everything() -> None:
    trainer = make_trainer(None, replace(CONFIG, muon_lr=0.0))
    before = {name: value.clone() for name, value in weights(trainer).items()}
    trainer.train()
    assert len(trainer.optimizers.optimizers) == 1
    assert not any(name.endswith("|momentum") for name in trainer.optimizers.state())
    assert all(not torch.equal(before[name], value) for name, value in weights(trainer).items())


def test_muon_takes_the_matrices_of_the_blocks(straight: Trainer) -> None:
    names = set(straight.optimizers.state())
    by_muon = {name.removesuffix("|momentum") for name in names if name.endswith("|momentum")}
    assert by_muon == {
        name for name, p in weights(straight).items() if "blocks." in name and p.dim() == 2
    }
    assert "embed.weight|exp_avg" in names


def test_bfloat16_autocast_learns_too() -> None:
    trainer = make_trainer(None, replace(CONFIG, steps=3, precision="bfloat16"))
    trainer.train()
    assert all(p.dtype == torch.float32 for p in weights(trainer).values())
    assert all(p.isfinite().all() for p in weights(trainer).values())


def test_validation_is_logged_at_the_end(tmp_path: Path) -> None:
    make_trainer(tmp_path, replace(CONFIG, steps=2), validate=lambda: 1.5).train()
    assert rows(tmp_path)[-1] == {"stage": "pretrain", "step": 2, "validation_loss": 1.5}


# ------------------------------------------------------------------------------------ failures


class Diverging(Pretrain):
    """Its loss is no number from the third batch on."""

    seen = 0

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, float | Tensor]]:
        self.seen += 1
        loss, figures = super().loss(batch)
        return (loss * float("nan") if self.seen >= 3 else loss), figures


def diverging(folder: Path, log_every: int) -> Trainer:
    trainer = make_trainer(folder, replace(CONFIG, log_every=log_every))
    assert isinstance(trainer.objective.module, Transformer)
    trainer.objective = Diverging(trainer.objective.module)
    return trainer


def test_a_loss_that_is_no_number_stops_the_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"pretrain, step 3: the loss is nan.*lower train.muon_lr"):
        diverging(tmp_path, log_every=1).train()
    found = checkpoint.newest(tmp_path / "checkpoints" / "pretrain")
    assert found is not None
    assert found.state["step"] == 2


def test_no_checkpoint_holds_weights_that_are_no_numbers(tmp_path: Path) -> None:
    with pytest.raises(UserError):
        diverging(tmp_path, log_every=10).train()
    found = checkpoint.newest(tmp_path / "checkpoints" / "pretrain")
    assert found is None or all(t.isfinite().all() for t in found.tensors["model"].values())


def test_an_interruption_gives_the_cursor_back() -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100)

    class Interrupted(LiveProgress):
        def update(self, done: int, **figures: float) -> None:
            super().update(done, **figures)
            if done == 2:
                raise KeyboardInterrupt

    watcher = Interrupted(console)
    try:
        with pytest.raises(KeyboardInterrupt):
            make_trainer(None, progress=watcher).train()
        hidden, shown = screen.getvalue().rfind("\x1b[?25l"), screen.getvalue().rfind("\x1b[?25h")
        assert hidden >= 0
        assert shown > hidden
    finally:
        watcher.end()
