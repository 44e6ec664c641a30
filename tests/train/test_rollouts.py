"""A source of batches that samples them, and an objective with state of its own."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rollouts
import torch
from interrupt import Stop
from processes import needs_gloo, together
from rollouts import ADVANTAGE, OLD_LOGPROB, Reinforce, Rollouts, make_trainer, token_logprobs
from safetensors.torch import load_file

from glassmind.data.batches.columns import COMPLETION
from glassmind.errors import UserError
from glassmind.train import to_batch
from glassmind.train.processes.launch import launched
from glassmind.train.watching.metrics_file import CLOCK_FIELDS

STEPS = 24
PARTS = ("model", "optimizer", "random", "objective", "source")


def rows(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "metrics.jsonl").read_text("utf-8").splitlines()
    return [{k: v for k, v in json.loads(s).items() if k not in CLOCK_FIELDS} for s in lines]


def final(folder: Path, steps: int = STEPS) -> dict[str, torch.Tensor]:
    """Every tensor of the last checkpoint."""
    place = folder / "checkpoints" / "reinforce" / f"step-{steps:06d}"
    return {
        f"{part}/{name}": tensor
        for part in PARTS
        for name, tensor in load_file(place / f"{part}.safetensors").items()
    }


def same(one: Path, two: Path) -> bool:
    ours, theirs = final(one), final(two)
    assert ours.keys() == theirs.keys()
    return rows(one) == rows(two) and all(torch.equal(ours[n], theirs[n]) for n in theirs)


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was not interrupted."""
    folder = tmp_path_factory.mktemp("straight")
    make_trainer(folder, STEPS).train()
    return folder


def test_the_model_learns_what_is_rewarded(straight: Path) -> None:
    reward = [row["reward"] for row in rows(straight)]
    assert np.mean(reward[:4]) < 0.65
    assert np.mean(reward[-4:]) > 0.85


def test_a_checkpoint_holds_what_source_and_objective_name(straight: Path) -> None:
    found = final(straight)
    assert "objective/reference.blocks.0.attention.query.weight" in found
    assert "random/objective.noise" in found
    assert found["source/baseline"].max() > 0
    place = straight / "checkpoints" / "reinforce" / f"step-{STEPS:06d}"
    state = json.loads((place / "state.json").read_text("utf-8"))
    assert state["source"] == {"drawn": STEPS * 2 * rollouts.PROMPTS}
    assert state["objective"]["distance"]["value"] > 0


def test_columns_reach_the_objective_aligned() -> None:
    """Old log-probabilities are those of the model that sampled, token by token."""
    trainer = make_trainer(None, 1)
    assert isinstance(trainer.objective, Reinforce)
    batch = to_batch(trainer.source.next(), torch.device("cpu"))
    at = batch.indices(batch.rows[COMPLETION])
    again = token_logprobs(trainer.objective.module, batch, at)
    torch.testing.assert_close(again, batch[OLD_LOGPROB][at], atol=1e-5, rtol=0)
    assert not batch[OLD_LOGPROB][~batch[COMPLETION]].any()
    even = (batch.ids % 2 == 0).float()
    for row in range(len(batch.ids)):  # a sample's advantage is the share of its even tokens
        for branch in np.unique(batch.rows.branches[row])[1:]:
            for document in np.unique(batch.rows.documents[row])[1:]:
                here = torch.from_numpy(
                    (batch.rows.branches[row] == branch) & (batch.rows.documents[row] == document)
                )
                if here.any():
                    torch.testing.assert_close(
                        batch[ADVANTAGE][row, here], even[row, here].mean().expand(int(here.sum()))
                    )


def interrupt(folder: Path, at: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        make_trainer(folder, STEPS, progress=Stop(at)).train()


def test_a_killed_run_ends_as_if_it_had_not_been(straight: Path, tmp_path: Path) -> None:
    command = [sys.executable, rollouts.__file__, str(tmp_path), str(STEPS)]
    draw = random.Random(0)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(draw.randint(4, 12)):
        assert process.stdout.readline().startswith("step")
    time.sleep(draw.random() * 0.02)
    process.kill()
    process.communicate()
    subprocess.run(command, check=True, capture_output=True)
    assert same(tmp_path, straight)


@pytest.mark.parametrize("forgotten", ["reference", "noise", "distance"])
def test_what_is_not_saved_is_missed(
    forgotten: str, straight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each part that the objective names is needed: without it a resumed run ends differently."""
    whole = Reinforce.saved.fget  # type: ignore[attr-defined]
    named = property(lambda self: {k: v for k, v in whole(self).items() if k != forgotten})
    monkeypatch.setattr(Reinforce, "saved", named)
    interrupt(tmp_path, 12)
    make_trainer(tmp_path, STEPS).train()
    assert rows(tmp_path) != rows(straight)


def test_a_checkpoint_without_what_the_objective_names_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(Reinforce, "saved", property(lambda self: {}))
        interrupt(tmp_path, 3)
    with pytest.raises(UserError, match="lacks"):
        make_trainer(tmp_path, STEPS).train()


def train(folder: Path, parallel: str, dropped: float, stop: int = 0) -> dict[str, Any]:
    torch.set_num_threads(1)
    with launched() as launch:
        group = launch.join(parallel, torch.device("cpu"))  # type: ignore[arg-type]
        progress = Stop(stop) if stop else None
        # The distance is that of a process's own share, so it must not move the weights here.
        trainer = make_trainer(
            folder, 8, dropped=dropped, adapt=0.0, progress=progress, group=group
        )
        try:
            trainer.train()
        except KeyboardInterrupt:
            return {}
        assert isinstance(trainer.source, Rollouts)
        assert isinstance(trainer.objective, Reinforce)
        modules = {"policy": trainer.objective.module, "reference": trainer.objective.reference}
        return {
            "weights": {
                f"{which}.{name}": p.detach().numpy().copy()
                for which, module in modules.items()
                for name, p in module.named_parameters()
            },
            "tokens": trainer.counters.tokens,
            "baseline": trainer.source.baseline.numpy(),
            "noise": trainer.objective.noise.get_state().numpy(),
        }


def run(size: int, folder: Path, dropped: float, stop: int = 0) -> list[dict[str, Any]]:
    folder.mkdir(exist_ok=True)
    results = together(size, train, folder, "ddp", dropped, stop)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


@needs_gloo
def test_two_processes_train_as_one(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    one = train(tmp_path / "one", "none", 0.0)
    two = run(2, tmp_path / "two", 0.0)
    for result in two:
        assert result["tokens"] == one["tokens"]
        np.testing.assert_array_equal(result["baseline"], one["baseline"])  # the same samples
        for name, weight in one["weights"].items():
            np.testing.assert_array_equal(result["weights"][name], two[0]["weights"][name])
            np.testing.assert_allclose(result["weights"][name], weight, rtol=2e-4, atol=2e-5)
    for row, other in zip(rows(tmp_path / "two"), rows(tmp_path / "one"), strict=True):
        assert row["loss"] == pytest.approx(other["loss"], rel=1e-4, abs=1e-6)
        assert row["reward"] == pytest.approx(other["reward"], rel=1e-6)


@needs_gloo
def test_two_resumed_processes_have_their_own_random_states(tmp_path: Path) -> None:
    straight = run(2, tmp_path / "straight", 0.3)
    # Their shares have different numbers of tokens, so their generators are at different places.
    run(2, tmp_path / "stopped", 0.3, stop=4)
    resumed = run(2, tmp_path / "stopped", 0.3)
    for one, two in zip(straight, resumed, strict=True):
        assert all(np.array_equal(two["weights"][n], w) for n, w in one["weights"].items())
        assert np.array_equal(one["noise"], two["noise"])
    assert rows(tmp_path / "straight") == rows(tmp_path / "stopped")
