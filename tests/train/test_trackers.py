"""Trackers: TensorBoard read back, the others against stand-ins with the real signatures."""

from __future__ import annotations

import importlib.util
import inspect
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from glassmind.errors import UserError
from glassmind.runs.overrides import replace_at
from glassmind.runs.recipe import Recipe, TrainConfig, recipe_toml
from glassmind.train.watching.trackers import (
    Trackers,
    flattened,
    last_step,
    require_trackers,
    run_id,
)

ROW = {"loss": 2.5, "tokens": 64, "inspection": {"residual": [1.0, None], "blocks": ["blocks.0"]}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    run = tmp_path / "mine"
    run.mkdir()
    (run / "recipe.toml").write_text(recipe_toml(Recipe(name="mine")), "utf-8")
    (run / "run.json").write_text('{"created": "2026-01-01T00:00:00Z"}', "utf-8")
    return run


def refuse(sentence: str) -> None:
    raise AssertionError(sentence)


# ---------------------------------------------------------------------------------- TensorBoard


def scalars(folder: Path, name: str = "loss") -> list[tuple[int, float]]:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulator.EventAccumulator(str(folder / "tensorboard" / "pretrain"))
    events.Reload()
    return [(event.step, event.value) for event in events.Scalars(name)]


def test_tensorboard_holds_what_was_logged(folder: Path) -> None:
    pytest.importorskip("tensorboard")
    trackers = Trackers(["tensorboard"], folder, "pretrain", warn=refuse)
    trackers.log(1, ROW)
    trackers.log(2, {"loss": 1.5})
    assert scalars(folder) == [(1, 2.5), (2, 1.5)]  # flushed: a kill now would lose nothing
    trackers.close()
    assert scalars(folder, "inspection/residual/0") == [(1, 1.0)]


def test_tensorboard_has_no_row_twice_after_a_resume(folder: Path) -> None:
    pytest.importorskip("tensorboard")
    first = Trackers(["tensorboard"], folder, "pretrain", warn=refuse)
    for step in range(1, 9):
        first.log(step, {"loss": float(step)})
    # killed here; the checkpoint is of step 5
    resumed = Trackers(["tensorboard"], folder, "pretrain", done=5, sent=8, warn=refuse)
    for step in range(6, 11):
        resumed.log(step, {"loss": float(step)})
    resumed.close()
    assert scalars(folder) == [(step, float(step)) for step in range(1, 11)]
    over = Trackers(["tensorboard"], folder, "pretrain", warn=refuse)  # from the beginning
    over.log(1, {"loss": 0.5})
    over.close()
    assert scalars(folder) == [(1, 0.5)]


def test_tensorboard_forgets_what_a_rewind_undid(folder: Path) -> None:
    pytest.importorskip("tensorboard")
    trackers = Trackers(["tensorboard"], folder, "pretrain", warn=refuse)
    for step in range(1, 7):
        trackers.log(step, {"loss": float(step)})
    trackers.rewind(4)
    trackers.log(5, {"loss": 50.0})
    trackers.close()
    assert scalars(folder) == [(1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0), (5, 50.0)]


def test_a_disk_that_fails_is_warned_about_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tensorboard")
    from torch.utils.tensorboard import FileWriter

    said: list[str] = []
    trackers = Trackers(["tensorboard"], folder, "pretrain", warn=said.append)
    trackers.log(1, ROW)

    def full(self: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(FileWriter, "flush", full)
    for step in range(2, 5):
        trackers.log(step, ROW)
    trackers.close()
    assert len(said) == 1
    assert "the tracker tensorboard failed" in said[0]
    assert "No space left" in said[0]


# ------------------------------------------------------------------------ trackio and wandb


class Recorded:
    """A run of a stand-in: what the library was given."""

    def __init__(self, arguments: dict[str, Any]) -> None:
        self.arguments = arguments
        self.rows: list[tuple[int | None, dict[str, Any]]] = []
        self.finished = False
        self.broken = False

    def log(
        self, data: dict[str, Any], step: int | None = None, commit: bool | None = None
    ) -> None:
        if self.broken:
            raise ConnectionError("the network went away")
        self.rows.append((step, data))

    def finish(self, exit_code: int | None = None) -> None:
        print("library talk")
        self.finished = True


def trackio_init(
    project: str, name: str | None = None, group: str | None = None, space_id: str | None = None,
    server_url: str | None = None, dataset_id: str | None = None, bucket_id: str | None = None,
    config: dict[str, Any] | None = None, resume: str = "never", settings: Any = None,
    private: bool | None = None, embed: bool = True, auto_log_gpu: bool | None = None,
    gpu_log_interval: float = 10.0, auto_log_cpu: bool | None = None,
    cpu_log_interval: float = 10.0, webhook_url: str | None = None,
    webhook_min_level: str | None = None,
) -> Recorded:  # fmt: skip
    """As in trackio 0.43."""
    assert resume in ("must", "allow", "never")
    print("* Trackio project initialized")
    return Recorded(locals())


def wandb_init(
    entity: str | None = None, project: str | None = None, dir: str | None = None,
    id: str | None = None, name: str | None = None, notes: str | None = None,
    tags: list[str] | None = None, config: dict[str, Any] | str | None = None,
    config_exclude_keys: list[str] | None = None, config_include_keys: list[str] | None = None,
    allow_val_change: bool | None = None, group: str | None = None, job_type: str | None = None,
    mode: str | None = None, force: bool | None = None, reinit: bool | str | None = None,
    resume: bool | str | None = None, resume_from: str | None = None,
    fork_from: str | None = None, save_code: bool | None = None, tensorboard: bool | None = None,
    sync_tensorboard: bool | None = None, monitor_gym: bool | None = None, settings: Any = None,
    anonymous: Any = None,
) -> Recorded:  # fmt: skip
    """As in wandb 0.31."""
    return Recorded(locals())


@pytest.fixture(params=["trackio", "wandb"])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A stand-in under the library's name, with the runs it was asked for in ``runs``."""
    module = ModuleType(request.param)
    module.__spec__ = importlib.util.spec_from_loader(request.param, None)
    runs: list[Recorded] = []
    signature = {"trackio": trackio_init, "wandb": wandb_init}[request.param]

    def init(*args: Any, **kwargs: Any) -> Recorded:
        runs.append(signature(*args, **kwargs))
        return runs[-1]

    module.init, module.runs = init, runs  # type: ignore[attr-defined]
    module.finish = lambda: runs[-1].finish()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, request.param, module)
    return module


def test_a_run_is_named_configured_and_finished(
    library: ModuleType, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trackers = Trackers([library.__name__], folder, "pretrain", warn=refuse)
    trackers.log(10, ROW)
    trackers.close()
    (run,) = library.runs
    assert run.arguments["project"] == "glassmind"
    assert run.arguments["group"] == "mine"
    assert run.arguments["config"]["train"]["steps"] == TrainConfig().steps
    assert run.rows == [(10, {"loss": 2.5, "tokens": 64.0, "inspection/residual/0": 1.0})]
    assert run.finished
    assert capsys.readouterr().out == ""  # standard output is the command's product


def test_a_resumed_run_is_the_same_run_and_sends_nothing_twice(
    library: ModuleType, folder: Path
) -> None:
    first = Trackers([library.__name__], folder, "pretrain", warn=refuse)
    for step in (2, 4, 6, 8):
        first.log(step, {"loss": float(step)})
    resumed = Trackers([library.__name__], folder, "pretrain", done=5, sent=8, warn=refuse)
    for step in (6, 8, 10):
        resumed.log(step, {"loss": float(step)})
    before, after = library.runs
    key = "id" if library.__name__ == "wandb" else "name"
    assert before.arguments[key] == after.arguments[key]
    assert after.arguments["resume"] == "allow"
    assert [step for run in (before, after) for step, _ in run.rows] == [2, 4, 6, 8, 10]


def test_a_network_that_goes_away_does_not_stop_the_run(library: ModuleType, folder: Path) -> None:
    said: list[str] = []
    trackers = Trackers([library.__name__], folder, "pretrain", warn=said.append)
    library.runs[0].broken = True
    for step in range(3):
        trackers.log(step, ROW)
    trackers.close()
    assert said == [
        f"the tracker {library.__name__} failed (the network went away) and gets no more figures; "
        "the run goes on, and metrics.jsonl holds them all"
    ]


def test_a_refusal_at_the_start_stops_only_a_run_that_has_not_begun(
    library: ModuleType, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(**_: object) -> None:
        raise RuntimeError("no API key configured\nlong advice")

    monkeypatch.setattr(library, "init", refused)
    with pytest.raises(UserError, match=r"could not start \(no API key configured\)"):
        Trackers([library.__name__], folder, "base", warn=refuse)
    (folder / "metrics.jsonl").write_text('{"stage": "base", "step": 1, "loss": 3}\n', "utf-8")
    said: list[str] = []
    trackers = Trackers([library.__name__], folder, "verifier", warn=said.append)
    trackers.log(1, ROW)
    assert len(said) == 1


@pytest.mark.parametrize("name", ["trackio", "wandb"])
def test_the_stand_ins_are_called_as_the_library_is(name: str) -> None:
    """Where the real library is installed, its signature takes what we give."""
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed")
    real = inspect.signature(importlib.import_module(name).init)
    stand_in = inspect.signature({"trackio": trackio_init, "wandb": wandb_init}[name])
    assert set(stand_in.parameters) <= set(real.parameters)


# ----------------------------------------------------------------------------------- the rest


def test_a_missing_library_is_said_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="wandb is not installed: pip install wandb"):
        require_trackers(["wandb"])
    with pytest.raises(UserError, match="pip install trackio"):
        Trackers(["trackio"], folder, "base", warn=refuse)


def test_without_names_or_folder_nothing_happens(tmp_path: Path) -> None:
    for trackers in (
        Trackers([], tmp_path, "base", warn=refuse),
        Trackers([], None, "base", warn=refuse),
    ):
        trackers.log(1, ROW)
        trackers.rewind(0)
        trackers.close()
    assert not list(tmp_path.iterdir())


def test_a_tracker_is_set_from_the_command_line() -> None:
    recipe = replace_at(Recipe(), "train.trackers", "tensorboard,wandb")
    assert recipe.train.trackers == ("tensorboard", "wandb")
    with pytest.raises(UserError, match=r"train\.trackers\.0 takes one of tensorboard, trackio"):
        replace_at(Recipe(), "train.trackers", "tensorbord")


def test_the_last_step_sent_survives_half_a_line(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    assert last_step(path, "base") == 0
    rows = [{"stage": "base", "step": 7}, {"stage": "verifier", "step": 30}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"stage": "ba', "utf-8")
    assert last_step(path, "base") == 7
    assert last_step(path, "other") == 0


def test_names_are_flat_and_runs_differ(folder: Path) -> None:
    nested: Mapping[str, Any] = {"a": {"b": [1, True, {"c": 2.5}]}, "text": "x"}
    assert flattened(nested) == {"a/b/0": 1.0, "a/b/2/c": 2.5}
    assert run_id(folder, "base") != run_id(folder, "verifier")
