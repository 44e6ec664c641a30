"""Choices that were made before: by this run, or on this machine for the same shape of run.

A run keeps what it began with in ``arithmetic.json``, stage by stage, and is resumed with exactly
that: another precision or number of threads would change the last digits of every later loss. The
machine's measurements are kept in the user's cache folder and spare the next run of the same shape
the measuring. That file is only ever a shortcut: where it is damaged, too large or cannot be
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
from glassmind.train.calibration import Wishes
from glassmind.train.objective import Objective
from glassmind.train.precision import PrecisionChoice

MOST = 200
"""Measurements that a machine keeps, the newest ones."""

MOST_BYTES = 500_000


@dataclass(frozen=True, slots=True)
class StageChoices:
    """``arithmetic.json``: how each stage of a run computes."""

    stages: dict[str, PrecisionChoice] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MachineChoices:
    """The machine's measurements by ``key_of``, the oldest first."""

    measured: dict[str, PrecisionChoice] = field(default_factory=dict)


def noted(folder: Path, stage: str) -> PrecisionChoice | None:
    """What a stage of the run in ``folder`` began with.

    Raises:
        UserError: the run's file is damaged.
    """
    path = folder / "arithmetic.json"
    return read_record(StageChoices, path).stages.get(stage) if path.is_file() else None


def note(folder: Path, stage: str, choice: PrecisionChoice) -> None:
    """Write down what a stage begins with."""
    path = folder / "arithmetic.json"
    before = read_record(StageChoices, path).stages if path.is_file() else {}
    if before.get(stage) != choice:
        folder.mkdir(parents=True, exist_ok=True)
        write_record(path, StageChoices(before | {stage: choice}))


def key_of(objective: Objective, config: TrainConfig, wishes: Wishes, threads: int) -> str:
    """The shape of a run on this machine: the same key, the same answer."""
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
        (config.steps * config.accumulate).bit_length(),  # only its size matters, for compiling
        wishes,
    ]
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


def known(key: str) -> PrecisionChoice | None:
    """What was measured on this machine before."""
    return _measured().get(key)


def remember(key: str, choice: PrecisionChoice) -> None:
    """Keep a measurement for the next run of its shape, if that can be written."""
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
    """``None`` where the user has no home. A relative ``XDG_CACHE_HOME`` is ignored, as its
    specification asks."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or "")
    if not base.is_absolute():
        try:
            base = Path.home() / ".cache"
        except RuntimeError:
            return None
    return base / "glassmind" / "measured.json"
