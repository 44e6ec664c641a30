"""What a checkpoint holds: all that a trainer is between two steps.

    model       the parameters that training moves (what LoRA or freezing keeps still is not there)
    optimizer   every optimizer's moments
    random      the state of every random generator
    state.json  counters, the losses not logged yet, the guard's memory, the loader's place, and how
                long the metrics file was

A trainer that takes this up goes on bit by bit as the one that left it. Nothing else may decide
what a step does: whoever gives the trainer a new thing that changes with the steps adds it here.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from glassmind.errors import UserError
from glassmind.runs.checkpoint import Checkpoint
from glassmind.runs.weights import copy_weights

if TYPE_CHECKING:
    from glassmind.train.trainer import Trainer


def changing(module: nn.Module) -> dict[str, Tensor]:
    """The parameters that training moves, by name: by gradient, or a router's balance."""
    named = module.named_parameters()
    return {name: p.detach() for name, p in named if p.requires_grad or name.endswith(".balance")}


def snapshot(trainer: Trainer, metrics_bytes: int) -> Checkpoint:
    """The trainer as it is now; ``metrics_bytes`` is how long its metrics file is.

    The tensors are the trainer's own: they are to be copied before it takes another step.
    """
    state = {
        "stage": trainer.stage,
        "step": trainer.step,
        "tokens": trainer.tokens,
        "seconds": trainer.seconds,
        "best": trainer.best if math.isfinite(trainer.best) else None,
        "rewinds": trainer.rewinds,
        "recent": [loss.item() for loss in trainer.recent],
        "guard": list(trainer.guard.recent),
        "guard_first": trainer.guard.first,
        "guard_above": trainer.guard.above,
        "loader": trainer.loader.state(),
        "metrics_bytes": metrics_bytes,
    }
    random = {"torch": torch.get_rng_state()}
    if trainer.device.type == "cuda":
        random["cuda"] = torch.cuda.get_rng_state(trainer.device)
    tensors = {
        "model": changing(trainer.objective.module),
        "optimizer": trainer.optimizers.state(),
        "random": trainer.world.random_states(random),
    }
    return Checkpoint(tensors, state)


def restore(trainer: Trainer, found: Checkpoint) -> int:
    """Become the trainer that wrote ``found``; how long its metrics file was.

    Raises:
        UserError: ``found`` is of another model or lacks a part of the state.
    """
    try:
        state, random = found.state, trainer.world.own_random(found.tensors["random"])
        copy_weights(changing(trainer.objective.module), found.tensors["model"], "the checkpoint")
        trainer.optimizers.restore(found.tensors["optimizer"])
        torch.set_rng_state(random["torch"])
        if "cuda" in random and trainer.device.type == "cuda":
            torch.cuda.set_rng_state(random["cuda"], trainer.device)
        trainer.step, trainer.tokens = int(state["step"]), int(state["tokens"])
        trainer.seconds, trainer.rewinds = float(state["seconds"]), int(state["rewinds"])
        trainer.best = math.inf if state["best"] is None else float(state["best"])
        trainer.recent = [torch.tensor(x, device=trainer.device) for x in state["recent"]]
        trainer.guard.recent.clear()
        trainer.guard.recent.extend(map(float, state["guard"]))
        first = state["guard_first"]
        trainer.guard.first = None if first is None else float(first)
        trainer.guard.above = int(state["guard_above"])
        trainer.loader.restore(state["loader"])
        return int(state["metrics_bytes"])
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"the checkpoint of {trainer.stage} in {trainer.folder} lacks a part of its state "
            f"({error}): delete its checkpoints folder to start the stage over"
        ) from None
