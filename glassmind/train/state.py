"""State that a checkpoint keeps in addition to the weights, and its protocol.

Anything whose changes influence later steps has to be in the checkpoint, or a resumed run would
differ from one that was never interrupted. A source of batches and each object that an objective
names in ``saved`` return their state as a flat mapping. Its tensors are written as safetensors,
everything else as JSON, so that nothing is pickled.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Generator, Tensor, nn

from glassmind.data.batches.packing import PackedRows
from glassmind.errors import UserError
from glassmind.runs.weights import copy_weights

State = Mapping[str, Any]
"""By name: tensors, and values that JSON holds exactly (numbers, texts, lists, dicts of them)."""


class Stateful(Protocol):
    """Something that can be saved and restored."""

    def state(self) -> State:
        """Everything that later steps depend on."""
        ...

    def restore(self, state: State) -> None:
        """Return to the ``state`` that was saved."""
        ...


class BatchSource(Stateful, Protocol):
    """Where the trainer gets its batches: a data set (``data.batches.loader.RowLoader``), or
    rollouts that are sampled with the weights in training.

    ``state`` is asked for between two steps only.
    """

    def next(self) -> PackedRows:
        """The rows of the next batch.

        When several processes train together, each of them calls this, must get the same rows, and
        trains on its share of them. So random numbers must come from the source's own generators,
        never from one that differs between processes.
        """
        ...


Saved = nn.Module | Generator | Stateful
"""What an objective may save: a module's parameters and buffers, a random generator's state, or
anything that is ``Stateful``."""


def split(state: State) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """A state's tensors, and the rest."""
    tensors = {name: value for name, value in state.items() if isinstance(value, Tensor)}
    return tensors, {name: value for name, value in state.items() if name not in tensors}


def module_tensors(module: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name."""
    named = (*module.named_parameters(), *module.named_buffers())
    return {name: tensor.detach() for name, tensor in named}


def collect(saved: Mapping[str, Saved]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of all that is saved, as ``name.tensor``, and the JSON of each by its name.

    Generators are left out, because each process has its own (``generator_states``).
    """
    tensors: dict[str, Tensor] = {}
    values: dict[str, Any] = {}
    for name, thing in saved.items():
        if "." in name:
            raise UserError(f"an objective saves {name!r}: the name must not contain a dot")
        if isinstance(thing, nn.Module):
            own: Mapping[str, Tensor] = module_tensors(thing)
        elif isinstance(thing, Generator):
            continue
        else:
            own, values[name] = split(thing.state())
        tensors |= {f"{name}.{part}": tensor for part, tensor in own.items()}
    return tensors, values


def distribute(
    saved: Mapping[str, Saved], tensors: Mapping[str, Tensor], values: Mapping[str, Any]
) -> None:
    """Restore everything that is saved from what ``collect`` returned.

    Raises:
        UserError: the tensors of a module do not fit.
        KeyError: something has nothing saved.
    """
    for name, thing in saved.items():
        prefix = f"{name}."
        own = {t.removeprefix(prefix): x for t, x in tensors.items() if t.startswith(prefix)}
        if isinstance(thing, nn.Module):
            copy_weights(module_tensors(thing), own, f"the checkpoint's {name}")
        elif not isinstance(thing, Generator):
            thing.restore(own | values[name])


def generators(saved: Mapping[str, Saved]) -> dict[str, Generator]:
    """The random generators among what is saved, by name."""
    return {name: thing for name, thing in saved.items() if isinstance(thing, Generator)}


def random_states(saved: Mapping[str, Saved], device: torch.device) -> dict[str, Tensor]:
    """The states of all random generators that a step may draw from, by name."""
    states = {"torch": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    own = generators(saved)
    return states | {f"objective.{name}": g.get_state() for name, g in own.items()}


def restore_random_states(
    saved: Mapping[str, Saved], device: torch.device, states: Mapping[str, Tensor]
) -> None:
    """Take all generators back to what ``random_states`` returned."""
    torch.set_rng_state(states["torch"])
    if "cuda" in states and device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], device)
    for name, generator in generators(saved).items():
        generator.set_state(states[f"objective.{name}"])
