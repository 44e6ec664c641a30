"""The choice of precision, compilation and threads for a run.

The first of these that decides is used:

* what this stage of the run began with, so that a resumed run continues with the same digits;
* the recipe, if it leaves nothing open, and the rule of ``precision``, if measuring is not worth
  its time: on a GPU and in a short run;
* an earlier measurement on this machine for a run of this shape;
* a new measurement (``calibration``).
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import torch

from glassmind.progress import Progress
from glassmind.runs.recipe import TrainConfig
from glassmind.train.arithmetic.calibration import Wishes, is_worth_it, measure
from glassmind.train.arithmetic.known_choices import key_of, known, noted, remember
from glassmind.train.arithmetic.precision import PrecisionChoice, choose_precision
from glassmind.train.arithmetic.rehearsal import rehearsal
from glassmind.train.objectives.objective import Objective
from glassmind.train.processes.process_group import ProcessGroup
from glassmind.train.state import BatchSource


def fixed_threads() -> int:
    """The number of threads that the user has fixed (``--threads``, ``OMP_NUM_THREADS``), or 0."""
    text = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return torch.get_num_threads() if text.isdecimal() and text.isascii() and int(text) else 0


def choose(
    objective: Objective,
    source: BatchSource,
    config: TrainConfig,
    *,
    stage: str,
    folder: Path | None,
    device: torch.device,
    group: ProcessGroup,
    progress: Progress,
) -> PrecisionChoice:
    """The choice for ``module``, which is on its device; see above. All processes of a group get
    the first one's choice of precision and compilation, and each has its own number of threads."""
    wishes = Wishes.of(config, fixed_threads())
    choice = choose_precision(device, config.precision, config.compile, wishes.threads)
    before = noted(folder, stage) if folder is not None and group.is_first else None
    if before is not None:
        choice = wishes.applied_to(before)
        if choice != before:
            progress.end(
                f"{stage} began with {before} and continues with {choice}, as requested: its last "
                "digits may differ from those of a run that was never interrupted"
            )
    elif device.type == "cpu" and wishes.open and group.is_first and is_worth_it(objective, config):
        choice = _measured(objective, source, config, wishes, choice, stage, progress)
    low = group.broadcast(choice.precision == "bfloat16")
    compiled = group.broadcast(choice.compile)
    return replace(choice, precision="bfloat16" if low else "float32", compile=compiled)


def _measured(
    objective: Objective,
    source: BatchSource,
    config: TrainConfig,
    wishes: Wishes,
    usual: PrecisionChoice,
    stage: str,
    progress: Progress,
) -> PrecisionChoice:
    """The known choice for this shape, or a newly measured one."""
    key = key_of(objective, config, wishes, usual.threads)
    found = known(key)
    if found is not None:
        return found
    progress.start(f"{stage}: measuring", 1, "shape")
    try:
        with rehearsal(objective, source, torch.device("cpu"), ProcessGroup()) as rehearse:
            passes = config.steps * config.accumulate
            outcome = measure(rehearse, objective, usual, wishes, passes)
    finally:
        progress.end()
    if outcome.undisturbed:
        remember(key, outcome.choice)
    return outcome.choice
