"""Which optimizer trains which parameter, and their state by name, so that it can be saved.

Matrices inside a transformer's blocks go to Muon; embeddings, the output layer, norms, biases,
routers and heads (a verifier's judge, too) to AdamW (Loshchilov & Hutter 2017, arXiv 1711.05101),
without weight decay on vectors. AdamW also trains the factors of a low-rank change (LoRA), because
only their product matters, and a factor by itself need not be orthogonal.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from glassmind.errors import UserError
from glassmind.runs.recipe import TrainConfig
from glassmind.train.optimizers.muon import Muon, orthogonalise_together

ADAM_BETAS = (0.9, 0.95)
ADAMS = re.compile(r"\brouter\b|\blora_")
"""Matrices in a block that AdamW trains."""


class Optimizers:
    """Muon and AdamW over one module, used as one optimizer; ``together`` is Muon's argument."""

    def __init__(
        self,
        module: nn.Module,
        config: TrainConfig,
        together: Callable[[list[Tensor]], list[Tensor]] = orthogonalise_together,
    ) -> None:
        self.names = {p: name for name, p in module.named_parameters() if p.requires_grad}
        matrices, others, vectors = [], [], []
        for parameter, name in self.names.items():
            if parameter.dim() < 2:
                vectors.append(parameter)
            elif "blocks." in name and not ADAMS.search(name) and config.muon_lr > 0:
                matrices.append(parameter)
            else:
                others.append(parameter)
        decayed = {"params": others, "weight_decay": config.weight_decay}
        groups = [decayed, {"params": vectors, "weight_decay": 0.0}]
        adamw = torch.optim.AdamW(groups, lr=config.adamw_lr, betas=ADAM_BETAS, fused=True)
        self.optimizers: list[torch.optim.Optimizer] = [adamw]
        if matrices:
            decay = config.weight_decay
            muon = Muon(matrices, lr=config.muon_lr, weight_decay=decay, together=together)
            self.optimizers.append(muon)
        self._peaks = [[g["lr"] for g in o.param_groups] for o in self.optimizers]

    def step(self, factor: float, skip: Tensor | None = None) -> None:
        """One step with every learning rate at ``factor`` times its peak; clears gradients.

        ``skip`` is a float32 scalar on the parameters' device. If it is 1, weights and moments stay
        as they are; this is decided on the device, so that the host need not wait for it.
        """
        for optimizer, peaks in zip(self.optimizers, self._peaks, strict=True):
            # The attribute by which torch.amp.GradScaler tells fused optimizers to do nothing.
            optimizer.found_inf = skip  # type: ignore[attr-defined]
            for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                group["lr"] = peak * factor
            optimizer.step()
        self.forget_gradients()

    def forget_gradients(self) -> None:
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)

    def state(self) -> dict[str, Tensor]:
        """Every state tensor as ``parameter name|state name``."""
        return {
            f"{name}|{key}": value
            for optimizer in self.optimizers
            for parameter, name in self.names.items()
            if parameter in optimizer.state
            for key, value in optimizer.state[parameter].items()
        }

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Restore what ``state`` returned.

        Raises:
            UserError: the tensors belong to another model or optimizer.
        """
        by_name: dict[str, dict[str, Any]] = {}
        for key, value in tensors.items():
            name, _, entry = key.partition("|")
            by_name.setdefault(name, {})[entry] = value
        owners = {
            self.names[p]: (optimizer, p)
            for optimizer in self.optimizers
            for group in optimizer.param_groups
            for p in group["params"]
        }
        if not by_name.keys() <= owners.keys():
            extra = sorted(by_name.keys() - owners.keys())[0]
            raise UserError(f"the checkpoint's optimizer state is for another model ({extra})")
        for name, state in by_name.items():
            optimizer, parameter = owners[name]
            for entry, value in state.items():
                if value.dim() and value.shape != parameter.shape:
                    raise UserError(f"the checkpoint's optimizer state of {name} has a wrong shape")
                # The fused AdamW counts its steps on the device, too.
                optimizer.state[parameter][entry] = value.to(parameter.device)
