"""Steps that go wrong: noticed before the weights move, kept for inspection, treated as asked."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from glassmind.data.batches.loader import RowLoader
from glassmind.data.batches.packing import stream
from glassmind.errors import UserError
from glassmind.model import AttentionConfig, ModelConfig, Transformer
from glassmind.progress import Silent
from glassmind.runs import checkpoint
from glassmind.runs.checkpoint import load_tensors
from glassmind.runs.recipe import TrainConfig
from glassmind.train import Batch, Pretrain, Trainer
from glassmind.train.watching.guard import ENOUGH, Guard

CONFIG = TrainConfig(
    steps=12,
    batch_rows=2,
    row_tokens=16,
    warmup=3,
    log_every=1,
    checkpoint_minutes=0.0,
    precision="float32",
    compile="off",
)


class Sick(Pretrain):
    """Its loss is multiplied by ``factor`` whenever the batch with first token ``bad`` comes."""

    bad: Tensor
    factor = math.nan

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, float | Tensor]]:
        loss, figures = super().loss(batch)
        sick = torch.equal(batch.ids, self.bad)
        return (loss * self.factor if sick else loss), figures


class Listener(Silent):
    def __init__(self) -> None:
        self.said: list[str] = []

    def end(self, summary: str = "") -> None:
        self.said.append(summary)


def make_trainer(
    folder: Path | None, config: TrainConfig = CONFIG, bad_batch: int = 6, **options: Any
) -> Trainer:
    """A trainer whose batch number ``bad_batch`` (from 1) makes it sick."""
    torch.manual_seed(7)
    model = Transformer(
        ModelConfig(
            vocab_size=31,
            max_tokens=16,
            d_model=16,
            n_layers=1,
            attention=AttentionConfig(n_heads=2),
        )
    )
    ids = np.random.default_rng(0).integers(0, 31, 16 * 200).astype(np.int32)
    rows = stream(ids, 16)
    peek = RowLoader(rows, config.batch_rows, seed=1)
    for _ in range(bad_batch):
        bad = peek.next()
    objective = Sick(model)
    objective.bad = torch.from_numpy(bad.ids).long()
    loader = RowLoader(rows, config.batch_rows, seed=1)
    return Trainer(
        objective, loader, config, stage="pretrain", folder=folder, progress=Listener(), **options
    )


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def all_finite(trainer: Trainer) -> bool:
    return all(p.isfinite().all() for p in trainer.objective.module.parameters())


# ---------------------------------------------------------------------------------- the judge


def test_what_is_no_number() -> None:
    guard = Guard("skip", "note", 6.0)
    for loss, norm in ((math.nan, 1.0), (math.inf, 1.0), (1.0, math.inf), (1.0, math.nan)):
        trouble = guard.judge(loss, norm)
        assert trouble is not None
        assert trouble.policy == "skip"
    assert not guard.recent


def test_a_loss_that_stays_far_above_the_first_is_divergence() -> None:
    guard = Guard("stop", "note", 6.0)
    losses = [4.0, *[14.0] * (ENOUGH - 1), 12.0, *[14.0] * ENOUGH]
    troubles = [trouble for loss in losses if (trouble := guard.judge(loss, 1.0)) is not None]
    assert [(t.policy, t.sentence) for t in troubles if "diverges" in t.sentence] == [
        ("stop", "the loss is 14 and was 4 at first: training diverges")
    ]
    small = Guard("stop", "note", 6.0)  # the first batch happened to be an easy one
    assert all(small.judge(loss, 1.0) is None for loss in [0.0, *[1.0] * 200])


def test_what_is_a_spike() -> None:
    guard = Guard("stop", "rewind", 3.0)
    assert guard.judge(100.0, 1.0) is None  # nothing to compare with yet
    guard.recent.clear()
    for i in range(ENOUGH):
        assert guard.judge(2.0 + 0.1 * (-1) ** i, 1.0) is None  # mean 2, deviation 0.1
    assert guard.judge(2.29, 1.0) is None
    trouble = guard.judge(2.5, 1.0)
    assert trouble is not None
    assert trouble.policy == "rewind"
    assert 2.5 not in guard.recent  # or the next spike would look less odd
    assert guard.judge(0.1, 1.0) is None  # a good surprise is no trouble


# -------------------------------------------------------------------------------- the policies


def test_stop_keeps_what_the_step_met(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path)
    with pytest.raises(UserError, match=r"step 6: the loss is nan.*trouble/pretrain-step-000006"):
        trainer.train()
    kept = tmp_path / "trouble" / "pretrain-step-000006"
    batch = load_tensors(kept / "batch.safetensors")
    assert isinstance(trainer.objective, Sick)
    assert torch.equal(batch["0.ids"], trainer.objective.bad)
    found = checkpoint.newest(tmp_path / "checkpoints" / "pretrain")
    assert found is not None
    assert found.state["step"] == 5
    weights = load_tensors(kept / "weights.safetensors")  # those before the step
    assert all(torch.equal(weights[name], t) for name, t in found.tensors["model"].items())
    told = json.loads((kept / "trouble.json").read_text())
    assert (told["step"], told["loss"], told["policy"]) == (6, "nan", "stop")


def test_skip_leaves_the_batch_out(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, replace(CONFIG, on_nan="skip"))
    trainer.train()
    assert trainer.counters.step == 12
    assert all_finite(trainer)
    (trouble,) = [r for r in rows(tmp_path) if "trouble" in r]
    assert (trouble["step"], trouble["policy"]) == (6, "skip")
    before, after = (
        load_tensors(tmp_path / "checkpoints" / "pretrain" / f"step-{s:06d}" / "model.safetensors")
        for s in (11, 12)
    )
    assert any(not torch.equal(before[name], after[name]) for name in after)


def test_a_skipped_step_moves_nothing(tmp_path: Path) -> None:
    config = replace(CONFIG, on_nan="skip", steps=6)
    make_trainer(tmp_path, config).train()
    place = tmp_path / "checkpoints" / "pretrain"
    five, six = (checkpoint.load(place / f"step-{s:06d}") for s in (5, 6))
    for part in ("model", "optimizer"):
        assert all(torch.equal(five.tensors[part][n], t) for n, t in six.tensors[part].items())


def test_rewind_goes_on_with_other_batches(tmp_path: Path) -> None:
    config = replace(CONFIG, on_nan="rewind")
    trainer = make_trainer(tmp_path, config)
    trainer.train()
    assert (trainer.counters.step, trainer.counters.rewinds) == (12, 1)
    assert all_finite(trainer)
    # 12 steps taken and one batch passed over
    assert trainer.source.state()["cursor"] == 13
    (rewound,) = [r for r in rows(tmp_path) if "rewound_from" in r]
    assert (rewound["step"], rewound["rewound_from"]) == (5, 6)
    steps = [r["step"] for r in rows(tmp_path) if "loss" in r]
    assert steps == list(range(1, 13))


def test_a_run_that_always_goes_wrong_is_stopped(tmp_path: Path) -> None:
    config = replace(CONFIG, on_nan="rewind")
    trainer = make_trainer(tmp_path, config)
    assert isinstance(trainer.objective, Sick)
    trainer.objective.loss = lambda batch: (  # type: ignore[method-assign]
        Pretrain.loss(trainer.objective, batch)[0]
        * (math.nan if trainer.counters.step > 3 else 1.0),
        {},
    )
    with pytest.raises(UserError, match="cannot be rewound: it happened too often"):
        trainer.train()
    assert len(list((tmp_path / "trouble").iterdir())) == 1  # the same step again and again


def test_without_a_checkpoint_there_is_nowhere_to_go(tmp_path: Path) -> None:
    config = replace(CONFIG, on_nan="rewind", checkpoint_minutes=100)
    with pytest.raises(UserError, match="there is no checkpoint yet"):
        make_trainer(tmp_path, config).train()


@pytest.mark.parametrize("policy", ["note", "skip"])
def test_a_spike(policy: str, tmp_path: Path) -> None:
    config = replace(CONFIG, steps=45, on_spike=policy, checkpoint_minutes=100)
    trainer = make_trainer(tmp_path, config, bad_batch=40)
    assert isinstance(trainer.objective, Sick)
    trainer.objective.factor = 3.0
    trainer.train()
    (trouble,) = [r for r in rows(tmp_path) if "trouble" in r]
    assert (trouble["step"], trouble["policy"]) == (40, policy)
    assert (40 in [r["step"] for r in rows(tmp_path) if "loss" in r]) == (policy == "note")
    assert isinstance(trainer.progress, Listener)
    assert any("step 40: the loss is" in s for s in trainer.progress.said)


def test_a_crash_after_a_rewind_changes_nothing(tmp_path: Path) -> None:
    config = replace(CONFIG, on_nan="rewind")
    straight = make_trainer(tmp_path / "a", config)
    (tmp_path / "a").mkdir()
    straight.train()
    (tmp_path / "b").mkdir()
    first = make_trainer(tmp_path / "b", replace(config, steps=12))

    def cut(done: int, **figures: float) -> None:
        if first.counters.rewinds and done == 8:
            raise KeyboardInterrupt

    first.progress.update = cut  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        first.train()
    again = make_trainer(tmp_path / "b", config)
    again.train()
    ours, theirs = again.objective.module.parameters(), straight.objective.module.parameters()
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert [r["step"] for r in rows(tmp_path / "b")] == [r["step"] for r in rows(tmp_path / "a")]


# ---------------------------------------------------------------- judged one step later (GPUs)


def lagging(folder: Path | None, config: TrainConfig, bad_batch: int = 6) -> Trainer:
    """A trainer that works on a CPU as it would on a GPU."""
    if folder is not None:
        folder.mkdir()
    trainer = make_trainer(folder, config, bad_batch)
    trainer.lagging = True
    return trainer


# Nothing but the last step makes the trainer wait for a verdict.
RARELY = replace(CONFIG, log_every=100, checkpoint_minutes=100)


def test_only_policies_that_leave_no_step_out_can_lag() -> None:
    assert Guard("stop", "note", 6.0).can_lag
    for on_nan, on_spike in (("skip", "note"), ("rewind", "note"), ("stop", "skip")):
        assert not Guard(on_nan, on_spike, 6.0).can_lag  # type: ignore[arg-type]
    assert not make_trainer(None).lagging  # on a CPU there is nothing to wait for


def test_a_lagging_trainer_asks_about_a_step_when_the_next_is_queued() -> None:
    trainer = lagging(None, replace(RARELY, steps=4), bad_batch=50)
    order: list[str] = []
    judge, step = trainer.guard.judge, trainer.optimizers.step

    def judged(loss: float, norm: float) -> Any:
        order.append("judge")
        return judge(loss, norm)

    def stepped(*arguments: Any) -> None:
        order.append("step")
        step(*arguments)

    trainer.guard.judge = judged  # type: ignore[method-assign]
    trainer.optimizers.step = stepped  # type: ignore[method-assign]
    trainer.train()
    assert order == ["step", "step", "judge", "step", "judge", "step", "judge", "judge"]


@pytest.mark.parametrize("config", [CONFIG, RARELY], ids=["often", "rarely"])
def test_lagging_changes_no_number(config: TrainConfig, tmp_path: Path) -> None:
    (tmp_path / "prompt").mkdir()
    prompt = make_trainer(tmp_path / "prompt", config, bad_batch=50)
    prompt.train()
    late = lagging(tmp_path / "late", config, bad_batch=50)
    late.train()
    pairs = zip(late.objective.module.parameters(), prompt.objective.module.parameters(),
                strict=True)  # fmt: skip
    assert all(torch.equal(a, b) for a, b in pairs)
    assert late.guard.state() == prompt.guard.state()
    ours, theirs = late.optimizers.state(), prompt.optimizers.state()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


@pytest.mark.parametrize("factor", [math.nan, math.inf])
def test_lagging_keeps_the_weights_from_before_a_step_that_is_not_finite(
    factor: float, tmp_path: Path
) -> None:
    (tmp_path / "prompt").mkdir()
    sentences = []
    for trainer in (make_trainer(tmp_path / "prompt", RARELY), lagging(tmp_path / "late", RARELY)):
        assert isinstance(trainer.objective, Sick)
        trainer.objective.factor = factor
        with pytest.raises(UserError, match="step 6: the loss is") as error:
            trainer.train()
        sentences.append(str(error.value).partition("; the batch")[0])
        assert all_finite(trainer)
    assert sentences[0] == sentences[1]
    kept = [tmp_path / name / "trouble" / "pretrain-step-000006" for name in ("prompt", "late")]
    for file in ("batch.safetensors", "weights.safetensors"):
        assert (kept[0] / file).read_bytes() == (kept[1] / file).read_bytes()
    assert json.loads((kept[1] / "trouble.json").read_text())["weights_after_step"] == 5
    assert not list((tmp_path / "late").glob("checkpoints/*/*"))


def test_a_lagging_trainer_notes_a_spike_under_its_own_step(tmp_path: Path) -> None:
    config = replace(RARELY, steps=45, log_every=45)
    ends = []
    (tmp_path / "prompt").mkdir()
    prompt = make_trainer(tmp_path / "prompt", config, bad_batch=40)
    for trainer in (prompt, lagging(tmp_path / "late", config, bad_batch=40)):
        assert isinstance(trainer.objective, Sick)
        trainer.objective.factor = 3.0
        trainer.train()
        assert trainer.folder is not None
        (row,) = [r for r in rows(trainer.folder) if "trouble" in r]
        kept = json.loads(
            (trainer.folder / "trouble/pretrain-step-000040/trouble.json").read_text()
        )
        ends.append((row, [*trainer.objective.module.parameters()], kept["weights_after_step"]))
    (one, ours, before), (two, theirs, after) = ends
    assert one == two
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert (before, after) == (39, 41)  # what was taken before it was judged is said


# ------------------------------------------------------------------------- the best weights


def test_the_finished_weights_can_be_the_best(tmp_path: Path) -> None:
    losses = iter([3.0, 1.0, 2.0, 1.5])
    config = replace(CONFIG, weights="best", validate_every=3)
    trainer = make_trainer(tmp_path, config, bad_batch=50, validate=lambda: next(losses))
    trainer.train()
    best = checkpoint.newest(tmp_path / "checkpoints" / "pretrain", kind="best")
    assert best is not None
    assert (best.state["step"], best.state["best"]) == (6, 1.0)
    module = trainer.objective.module
    assert all(torch.equal(p, best.tensors["model"][n]) for n, p in module.named_parameters())
    assert isinstance(trainer.progress, Listener)
    assert "pretrain: the weights are those of step 6" in trainer.progress.said


def test_the_best_weights_are_refused_where_nothing_is_held_out() -> None:
    config = replace(CONFIG, weights="best")
    with pytest.raises(UserError, match=r'train.weights = "best" needs held-out data .* pretrain'):
        make_trainer(None, config)
