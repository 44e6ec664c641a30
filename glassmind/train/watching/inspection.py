"""Looking inside a step: gradients, updates and activations, layer by layer.

A loss curve shows *that* something is wrong with a run; these figures show where. On the steps that
are inspected:

* ``gradients``: the norm of every matrix's gradient, before clipping. Along the depth they show
  whether the signal from the loss still reaches the first layers (Glorot & Bengio 2010).
* ``updates``: ‖Δw‖ / ‖w‖ of every matrix for the step as taken, with momentum, clipping, weight
  decay and learning rate, for any optimizer. (Vectors, which often start at zero and matter little,
  are left out of both.)
* ``residual``, ``attention``, ``feed_forward``: root mean square of the residual stream (first the
  embedding, then after every block) and of what each branch adds to it.
* ``silent``: in each feed-forward, the share of hidden units that are near zero for every token of
  the batch. For ReLU these are the dead units, for smooth activations the saturated ones.

Gradients and weights are read directly. Activations are read in a forward pass of their own (eager,
without gradients, in evaluation mode) on the step's first micro-batch, or on the first process's
share of it. Hooks inside compiled blocks would change the program, and an eager step between
compiled ones would change the last bits of the run. So a run that is inspected ends with the same
weights as one that is not.

An inspected step costs that forward pass, and a copy of the weights until it is over.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from glassmind.model import Block, probe
from glassmind.model.eager import uncompiled
from glassmind.train.objectives.objective import Objective

SILENT = 1e-3
"""A unit is silent when its largest value stays below this share of the layer's RMS."""

DIGITS = 4
"""Significant digits that are recorded; the figures are for display only."""


class Inspector:
    """Collects the figures of one step of ``objective``; off (``every`` = 0) it does nothing.

        watched = inspector.due(step)
        if watched: inspector.look(lambda: objective.loss(batch), autocast)    # a pass of its own
        ... forward, backward ...
        if watched: inspector.before_step()            # before clipping
        ... clip, optimizer step ...
        if watched: figures = inspector.after_step(loss)

    ``steps`` is the run's length: the first and the last step are inspected in any case.
    """

    def __init__(self, objective: Objective, every: int, steps: int) -> None:
        self.objective, self.every, self.steps = objective, every, steps
        self._activations: dict[str, Tensor] = {}
        self._gradients: dict[str, Tensor] = {}
        self._weights: dict[str, Tensor] = {}
        # Where only a part above a trunk is trained, the frozen trunk's blocks are inspected, too.
        self._blocks = [
            name for name, module in objective.module.named_modules() if isinstance(module, Block)
        ]

    def due(self, step: int) -> bool:
        """Whether the step that will be number ``step`` (from 1) is inspected."""
        return self.every > 0 and (step % self.every == 0 or step in (1, self.steps))

    def look(self, forward: Callable[[], object], autocast: AbstractContextManager[Any]) -> None:
        """Run ``forward``, a pass through the module, and measure what passes the taps.

        To be called before the step's own forward pass, when no activations are in memory.
        """
        module = self.objective.module
        found: dict[str, Tensor] = {}

        def measure(name: str, tap: str) -> None:
            def record(x: Tensor) -> Tensor:
                wide = x.float()
                found[f"{name}.{tap}"] = rms(wide)
                if tap == "feed_forward.hidden":
                    found[f"{name}.silent"] = silent_share(wide)
                return x

            watchers[f"{name}.{tap}"] = record

        watchers: dict[str, Any] = {}
        taps = ["residual_in", "attention_out", "feed_forward_out", "residual_out"]
        for name in self._blocks:
            block = module.get_submodule(name)
            # A mixture of experts forms no common hidden layer.
            has_hidden = hasattr(block.feed_forward, "hidden")
            for tap in [*taps, *(["feed_forward.hidden"] if has_hidden else [])]:
                measure(name, tap)
        training = {m for m in module.modules() if m.training}
        on_gpu = next(module.parameters()).device
        devices = [on_gpu] if on_gpu.type == "cuda" else []
        try:
            module.eval()
            with (
                torch.random.fork_rng(devices),
                torch.no_grad(),
                uncompiled(),
                autocast,
                probe(module, replace=watchers),
            ):
                forward()
        finally:
            for m in training:
                m.training = True
        self._activations = found

    @torch.no_grad()
    def before_step(self) -> None:
        """Measure the gradients of the backward pass, and keep a copy of the weights."""
        self._gradients, self._weights = {}, {}  # of a step that was left out
        for name, parameter in self._trained():
            if parameter.grad is not None:
                self._gradients[name] = norm(parameter.grad)
                self._weights[name] = parameter.detach().clone()

    @torch.no_grad()
    def after_step(self, loss: Tensor) -> dict[str, Any]:
        """Everything measured in this step, as plain numbers; ``None`` for what is not finite.

        ``loss`` is that of this step; other rows of the metrics have means over several steps.
        """
        updates = {}
        for name, parameter in self._trained():
            if name in self._weights:
                before = self._weights[name]
                updates[name] = norm(parameter.detach() - before) / norm(before)
        groups = (self._gradients, updates, self._activations, {"loss": loss.detach().float()})
        values = iter(_numbers([value for group in groups for value in group.values()]))
        gradients, steps, activations, of_step = (
            {name: next(values) for name in group} for group in groups
        )
        self._gradients, self._weights, self._activations = {}, {}, {}

        def along(tap: str) -> list[float | None]:
            return [activations.get(f"{name}.{tap}") for name in self._blocks]

        first = self._blocks[:1]
        return {
            "loss": of_step["loss"],
            "blocks": self._blocks,
            "gradients": gradients,
            "updates": steps,
            "residual": [
                *(activations.get(f"{name}.residual_in") for name in first),
                *along("residual_out"),
            ],
            "attention": along("attention_out"),
            "feed_forward": along("feed_forward_out"),
            "silent": along("silent"),
        }

    def _trained(self) -> list[tuple[str, nn.Parameter]]:
        named = self.objective.module.named_parameters()
        return [(name, p) for name, p in named if p.requires_grad and p.dim() > 1]


def rms(x: Tensor) -> Tensor:
    """Root mean square over everything, a scalar."""
    return x.square().mean().sqrt()


def silent_share(hidden_BTF: Tensor) -> Tensor:
    """Share of the F units whose magnitude stays below ``SILENT`` × RMS for every token."""
    peaks_F = hidden_BTF.abs().flatten(0, -2).amax(dim=0)
    return (peaks_F <= SILENT * rms(hidden_BTF)).float().mean()


def norm(x: Tensor) -> Tensor:
    """The Frobenius norm, a float32 scalar; of a sharded tensor, that of the whole."""
    whole = torch.linalg.vector_norm(x, dtype=torch.float32)
    gather = getattr(whole, "full_tensor", None)
    return whole if gather is None else gather()


def _numbers(scalars: list[Tensor]) -> list[float | None]:
    """Scalars as rounded numbers, fetched from the device at once; not a number is ``None``."""
    if not scalars:
        return []
    values = torch.stack(scalars).tolist()
    return [float(f"{v:.{DIGITS}g}") if abs(v) < float("inf") else None for v in values]
