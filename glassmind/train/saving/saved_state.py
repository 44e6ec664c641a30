"""What a checkpoint holds: everything in a trainer that changes from step to step.

    model       the parameters that training moves (those that LoRA or freezing keep are not there)
    optimizer   every optimizer's moments
    random      the state of every random generator
    objective   tensors of whatever else the objective names in ``saved``
    source      tensors of the source of batches, if it has any
    state.json  counters, losses not logged yet, the guard's memory, what source and objective save
                besides tensors, and how long the metrics file was

A trainer that restores this continues bit for bit like the one that wrote it. If you add something
to the trainer that changes from step to step, add it here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from glassmind.errors import UserError
from glassmind.runs.checkpoint import Checkpoint
from glassmind.runs.weights import copy_weights
from glassmind.train.objectives.objective import Objective
from glassmind.train.optimizers.groups import Optimizers
from glassmind.train.processes.process_group import ProcessGroup
from glassmind.train.state import (
    BatchSource,
    State,
    collect,
    distribute,
    random_states,
    restore_random_states,
    split,
)
from glassmind.train.watching.guard import Guard


def trained_parameters(module: nn.Module) -> dict[str, Tensor]:
    """The parameters that training moves, by name: by gradient, or a router's balance."""
    named = module.named_parameters()
    return {name: p.detach() for name, p in named if p.requires_grad or name.endswith(".balance")}


@dataclass
class Counters:
    """How far training has come."""

    step: int = 0
    tokens: int = 0
    rewinds: int = 0
    seconds: float = 0.0
    best: float = math.inf  # the lowest validation loss so far
    recent: list[Tensor] = field(default_factory=list)  # losses since the last logged row

    def state(self) -> State:
        return {
            "step": self.step,
            "tokens": self.tokens,
            "rewinds": self.rewinds,
            "seconds": self.seconds,
            "best": self.best if math.isfinite(self.best) else None,
            "recent": [loss.item() for loss in self.recent],
        }

    def restore(self, state: State) -> None:
        self.step, self.tokens = int(state["step"]), int(state["tokens"])
        self.rewinds, self.seconds = int(state["rewinds"]), float(state["seconds"])
        self.best = math.inf if state["best"] is None else float(state["best"])
        self.recent = [torch.tensor(float(loss)) for loss in state["recent"]]


@dataclass(frozen=True)
class TrainingState:
    """The parts of a trainer that its checkpoints hold."""

    stage: str
    objective: Objective
    source: BatchSource
    optimizers: Optimizers
    counters: Counters
    guard: Guard
    group: ProcessGroup
    device: torch.device

    def snapshot(self, metrics_bytes: int) -> Checkpoint:
        """Everything as it is now; ``metrics_bytes`` is how long the metrics file is.

        The tensors are the trainer's own: copy them before it takes another step.
        """
        saved, saved_values = collect(self.objective.saved)
        source, source_values = split(self.source.state())
        state = {
            "stage": self.stage,
            **self.counters.state(),
            **self.guard.state(),
            "source": source_values,
            "objective": saved_values,
            "metrics_bytes": metrics_bytes,
        }
        tensors = {
            "model": trained_parameters(self.objective.module),
            "optimizer": self.optimizers.state(),
            "random": self.group.gather_random_states(
                random_states(self.objective.saved, self.device)
            ),
        }
        optional = {"objective": saved, "source": source}
        return Checkpoint(tensors | {part: t for part, t in optional.items() if t}, state)

    def restore(self, found: Checkpoint) -> int:
        """Restore the state of the trainer that wrote ``found``; returns its metrics file's length.

        Raises:
            UserError: ``found`` is of another model, or lacks a part of the state.
        """
        try:
            state, tensors = found.state, found.tensors
            parameters = trained_parameters(self.objective.module)
            copy_weights(parameters, tensors["model"], "the checkpoint")
            self.optimizers.restore(tensors["optimizer"])
            random = self.group.own_random_states(tensors["random"])
            restore_random_states(self.objective.saved, self.device, random)
            self.counters.restore(state)
            self.guard.restore(state)
            # Checkpoints of earlier versions knew one source, the loader, and no objective's state.
            values = state["source"] if "source" in state else state["loader"]
            self.source.restore(values | tensors.get("source", {}))
            saved = state.get("objective", {})
            distribute(self.objective.saved, tensors.get("objective", {}), saved)
            return int(state["metrics_bytes"])
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"the checkpoint of {self.stage} lacks a part of its state ({error}): delete the "
                "folder checkpoints of the run to start the stage over"
            ) from None
