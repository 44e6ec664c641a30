"""kill -9 in the middle of training, checkpoint writes included: the end is the same, bit for bit.

A few kills here; ``benchmarks/crash_test.py`` does many.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import crashing
import torch
from safetensors.torch import load_file

STEPS, KILLS = 40, 4


def rows(folder: Path) -> list[dict[str, Any]]:
    """The metrics without what depends on the clock."""
    lines = (folder / "metrics.jsonl").read_text("utf-8").splitlines()
    timed = ("seconds", "tokens_per_second")
    return [{k: v for k, v in json.loads(line).items() if k not in timed} for line in lines]


def final(folder: Path) -> dict[str, torch.Tensor]:
    place = folder / "checkpoints" / "pretrain"
    return {
        f"{kind}/{part}/{name}": tensor
        for kind in (f"step-{STEPS:06d}", *(p.name for p in place.glob("best-*")))
        for part in ("model", "optimizer", "random")
        for name, tensor in load_file(place / kind / f"{part}.safetensors").items()
    }


def test_killed_again_and_again(tmp_path: Path) -> None:
    straight, crashed = tmp_path / "straight", tmp_path / "crashed"
    straight.mkdir()
    crashed.mkdir()
    crashing.make_trainer(straight, STEPS).train()
    command = [sys.executable, crashing.__file__, str(crashed), str(STEPS)]
    draw = random.Random(0)
    killed = 0
    while killed < KILLS:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        begun = int(process.stdout.readline().split()[1])
        for _ in range(draw.randint(1, 6)):
            process.stdout.readline()
        time.sleep(draw.random() * 0.05)
        process.kill()
        process.communicate()
        assert begun < STEPS
        killed += 1
    subprocess.run(command, check=True, capture_output=True)
    ours, theirs = final(crashed), final(straight)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert rows(crashed) == rows(straight)
    assert not list(crashed.glob("checkpoints/*/.unfinished-*"))
