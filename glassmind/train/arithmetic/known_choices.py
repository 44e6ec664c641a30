"""Earlier choices: of this run, or of this machine for the same shape of run.

A run stores the choice of each stage in ``arithmetic.json`` and is resumed with exactly that,
because another precision or number of threads would change the last digits of every later loss. The
machine's measurements are stored in the user's cache folder, so that the next run of the same shape
need not measure again. That file is only a shortcut: if it is damaged, too large or cannot be
written, it counts as empty.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path

import torch

from glassmind import __version__
from glassmind.errors import UserError
from glassmind.machine import instructions, processor, usable_cores
from glassmind.model import Transformer
from glassmind.runs.recipe import TrainConfig
from glassmind.serialization import read_record, write_record
from glassmind.train.arithmetic.calibration import Wishes
from glassmind.train.arithmetic.precision import PrecisionChoice
from glassmind.train.objectives.objective import Objective

MOST = 200
"""The number of measurements that a machine keeps, the newest ones."""

MOST_BYTES = 500_000


@dataclass(frozen=True, slots=True)
class StageChoices:
    """``arithmetic.json``: the choice of each stage of a run."""

    stages: dict[str, PrecisionChoice] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MachineChoices:
    """The machine's measurements by ``key_of``, the oldest first."""

    measured: dict[str, PrecisionChoice] = field(default_factory=dict)


def noted(folder: Path, stage: str) -> PrecisionChoice | None:
    """The choice with which a stage of the run in ``folder`` began.

    Raises:
        UserError: the run's file is damaged.
    """
    path = folder / "arithmetic.json"
    return read_record(StageChoices, path).stages.get(stage) if path.is_file() else None


def note(folder: Path, stage: str, choice: PrecisionChoice) -> None:
    """Store the choice with which a stage begins."""
    path = folder / "arithmetic.json"
    before = read_record(StageChoices, path).stages if path.is_file() else {}
    if before.get(stage) != choice:
        folder.mkdir(parents=True, exist_ok=True)
        write_record(path, StageChoices(before | {stage: choice}))


def key_of(objective: Objective, config: TrainConfig, wishes: Wishes, threads: int) -> str:
    """The shape of a run on this machine, as the key of its measurement."""
    module = objective.module
    parts: list[object] = [
        __version__,
        torch.__version__,
        processor(),
        instructions(),
        len(usable_cores()),
        threads,
        os.environ.get("OMP_WAIT_POLICY"),
        os.environ.get("GOMP_SPINCOUNT"),
        type(objective).__name__,
        [inner.config for inner in module.modules() if isinstance(inner, Transformer)],
        [(name, tuple(p.shape), p.dtype, p.requires_grad) for name, p in module.named_parameters()],
        (config.batch_rows, config.row_tokens, config.recompute),
        (config.steps * config.accumulate).bit_length(),  # roughly: decides whether compiling pays
        wishes,
    ]
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


def known(key: str) -> PrecisionChoice | None:
    """The earlier measurement on this machine, if there is one."""
    return _measured().get(key)


def remember(key: str, choice: PrecisionChoice) -> None:
    """Store a measurement for the next run of its shape, if the file can be written."""
    kept = {name: value for name, value in _measured().items() if name != key}
    newest = dict([*kept.items(), (key, choice)][-MOST:])
    path = _file()
    if path is None:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_record(path, MachineChoices(newest))
    except (UserError, OSError):
        pass


def _measured() -> dict[str, PrecisionChoice]:
    path = _file()
    try:
        if path is None or not path.is_file() or path.stat().st_size > MOST_BYTES:
            return {}
        return read_record(MachineChoices, path).measured
    except (UserError, OSError):
        return {}


def _file() -> Path | None:
    """The file of measurements; ``None`` if the user has no home. A relative ``XDG_CACHE_HOME`` is
    ignored, as its specification asks."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or "")
    if not base.is_absolute():
        try:
            base = Path.home() / ".cache"
        except RuntimeError:
            return None
    return base / "glassmind" / "measured.json"
