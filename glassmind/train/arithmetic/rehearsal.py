"""Rehearse a step: its forward and backward passes without the update, then restore all state.

A run compiles this way before its clock starts, and ``calibration`` measures ways of computing on
the run's own model and batch. Afterwards the weights, the source of batches, the random generators
and the modules' buffers (in which routers count tokens) are as before, so the run that follows has
the same numbers as one without a rehearsal.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import Generator, nn

from glassmind.train.arithmetic.precision import PrecisionChoice, computing_threads
from glassmind.train.batch import to_batch
from glassmind.train.gradients import accumulate_gradients
from glassmind.train.objectives.objective import Objective
from glassmind.train.processes.process_group import ProcessGroup
from glassmind.train.state import BatchSource, random_states, restore_random_states

Rehearse = Callable[[PrecisionChoice], float]
"""Runs one pass in the chosen way and returns its seconds."""


@contextmanager
def rehearsal(
    objective: Objective, source: BatchSource, device: torch.device, group: ProcessGroup
) -> Iterator[Rehearse]:
    """A ``Rehearse`` function for the block; all processes of a group must call it alike."""
    module = objective.module
    random = random_states(objective.saved, device)
    place = copy.deepcopy(source.state())
    kept = {
        name: copy.deepcopy(thing.state())
        for name, thing in objective.saved.items()
        if not isinstance(thing, nn.Module | Generator)
    }
    buffers = [(buffer, buffer.detach().clone()) for buffer in module.buffers()]
    batch = to_batch(group.shard(source.next()), device)

    def rehearse(choice: PrecisionChoice) -> float:
        # Blocks that are compiled already run uncompiled if the choice is not to compile.
        stance = nullcontext() if choice.compile else torch.compiler.set_stance("force_eager")
        started = time.perf_counter()
        with stance, computing_threads(choice.threads):
            loss, _ = accumulate_gradients(objective, [batch], group, choice.autocast(device))
            loss.item()  # waits for a GPU
        seconds = time.perf_counter() - started
        module.zero_grad()
        return seconds

    try:
        yield rehearse
    finally:
        module.zero_grad()
        with torch.no_grad():
            for buffer, before in buffers:
                buffer.copy_(before)
        for name, state in kept.items():
            thing = objective.saved[name]
            assert not isinstance(thing, nn.Module | Generator)
            thing.restore(state)
        source.restore(place)
        restore_random_states(objective.saved, device, random)
