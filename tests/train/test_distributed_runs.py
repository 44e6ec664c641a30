"""``train`` in several processes from the command line: one voice, one folder, a lost worker."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from processes import needs_gloo, together

from glassmind.cli.main import main
from glassmind.errors import UserError
from glassmind.runs.models import load
from glassmind.train.processes.launch import Launch

pytestmark = needs_gloo

RECIPE = """
objective = "pretrain"
[pretrain]
file = "{text}"
[tokenizer]
kind = "char"
[model]
d_model = 16
n_layers = 2
max_tokens = 16
[model.attention]
n_heads = 2
[train]
steps = {steps}
batch_rows = 4
row_tokens = 16
checkpoint_minutes = 0.0
precision = "float32"
compile = "off"
"""


@pytest.fixture
def recipe(tmp_path: Path) -> str:
    text = tmp_path / "text.txt"
    text.write_text("the quick brown fox jumps over the lazy dog. " * 60, "utf-8")
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE.format(text=text, steps=4), "utf-8")
    return str(path)


def verb(said: str, *argv: str, odd: str = "") -> int:
    """Run the command line, with both streams in the file ``said``; ``odd`` is for rank 1 only."""
    file = os.open(said, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    os.dup2(file, 1)
    os.dup2(file, 2)
    extra = ["--set", odd] if odd and os.environ["RANK"] == "1" else []
    return main([*argv, *extra])


def complaint(codes: list[Any], said: Path) -> str:
    """The one sentence that all processes together have said."""
    assert codes == [2] * len(codes), said.read_text("utf-8")
    (line,) = said.read_text("utf-8").splitlines()
    assert line.startswith("glassmind: error: ")
    return line


def odd_verb(said: str, odd: str, *argv: str) -> int:
    return verb(said, *argv, odd=odd)


def test_a_run_of_two_processes_has_one_folder_and_one_model(recipe: str, tmp_path: Path) -> None:
    for parallel in ("ddp", "fsdp"):
        run, said = tmp_path / parallel, tmp_path / f"said-{parallel}"
        arguments = (recipe, "--run", str(run), "--set", f"train.parallel={parallel}")
        assert together(2, verb, str(said), "train", *arguments) == [0, 0]
        assert said.read_text("utf-8").count("The model is in") == 1
        assert not list((run / "checkpoints").glob("*"))
        assert load(run).stage == "pretrain"
        refused = tmp_path / f"refused-{parallel}"
        codes = together(2, verb, str(refused), "train", *arguments)
        assert "already holds a run" in complaint(codes, refused)


def test_a_batch_that_cannot_be_shared(recipe: str, tmp_path: Path) -> None:
    said, run = tmp_path / "said", tmp_path / "run"
    codes = together(3, verb, str(said), "train", recipe, "--run", str(run))
    sentence = complaint(codes, said)
    assert "batch_rows (4) cannot be shared evenly by 3 processes: set it to 3 or 6" in sentence
    assert not run.exists()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (["train.parallel=none"], 'train.parallel = "none" and torchrun started 2 processes'),
        (["pretrain.file=nowhere.txt"], "nowhere.txt"),
        (["lora.rank=2"], "without torchrun"),
        (["train.batch_rows=100000"], "a batch wants 100000 rows"),
    ],
    ids=["none", "no-text", "lora", "large-batch"],
)
def test_what_all_processes_meet_is_said_once(
    settings: list[str], sentence: str, recipe: str, tmp_path: Path
) -> None:
    said, run = tmp_path / "said", tmp_path / "run"
    chosen = [part for setting in settings for part in ("--set", setting)]
    codes = together(2, verb, str(said), "train", recipe, "--run", str(run), *chosen)
    assert sentence in complaint(codes, said)
    assert not run.exists()


def test_another_recipe_in_one_process(recipe: str, tmp_path: Path) -> None:
    said, run = tmp_path / "said", tmp_path / "run"
    codes = together(2, odd_verb, str(said), "train.steps=5", "train", recipe, "--run", str(run))
    assert "process 1 was started with another recipe than process 0" in complaint(codes, said)


def test_a_mistake_that_only_one_process_meets(recipe: str, tmp_path: Path) -> None:
    said, run = tmp_path / "said", tmp_path / "run"
    codes = together(2, odd_verb, str(said), "train.steps=many", "train", recipe, "--run", str(run))
    assert codes == [None, 2]
    (line,) = said.read_text("utf-8").splitlines()
    assert "train.steps" in line


def test_company_is_asked_for_and_there_is_none(
    recipe: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--run", str(tmp_path / "run"), "--set", "train.parallel=fsdp"]
    assert main(["train", recipe, *arguments]) == 2
    assert "torchrun --nproc-per-node" in capsys.readouterr().err


def test_a_torch_without_nccl(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.distributed.is_nccl_available", lambda: False)
    with pytest.raises(UserError, match="no nccl"):
        Launch.__new__(Launch).join("auto", torch.device("cuda", 0))


def _children(parent: int) -> list[int]:
    """The processes that ``parent`` started. (Not every kernel keeps /proc/*/task/*/children.)"""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has just ended
            if int(stat.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(stat.parent.name))
    return sorted(found)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="finds the worker through /proc")
def test_a_killed_worker_comes_back_and_nothing_is_lost(recipe: str, tmp_path: Path) -> None:
    path = Path(recipe)
    path.write_text(path.read_text("utf-8").replace("steps = 4", "steps = 40"), "utf-8")
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    codes = together(2, verb, str(tmp_path / "said"), "train", recipe, "--run", str(undisturbed))
    assert codes == [0, 0]
    # What torchrun is the console script of; "--" keeps its own options apart from ours.
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", "2", "--max-restarts", "1", "--monitor-interval", "0.1"]
    command += ["-m", "--", "glassmind", "train", recipe, "--run", str(killed)]
    torchrun = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        checkpoints = killed / "checkpoints" / "pretrain"
        while not list(checkpoints.glob("step-*")) and torchrun.poll() is None:
            time.sleep(0.005)
        os.kill(_children(torchrun.pid)[-1], signal.SIGKILL)
        said = torchrun.communicate(timeout=240)[0].decode()
    finally:
        torchrun.kill()
    assert torchrun.returncode == 0, said
    assert "Traceback" not in said
    for name in ("model.safetensors", "model.json"):
        ours, theirs = (run / "models" / "pretrain" / name for run in (killed, undisturbed))
        assert ours.read_bytes() == theirs.read_bytes()
    assert len((killed / "metrics.jsonl").read_text("utf-8").splitlines()) == len(
        (undisturbed / "metrics.jsonl").read_text("utf-8").splitlines()
    )
