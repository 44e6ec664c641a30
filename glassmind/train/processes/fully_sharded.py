"""Fully sharded training: no process holds the whole model (FSDP2, PyTorch's ``fully_shard``).

Every parameter is cut along its first dimension, and each process keeps one piece of it, of its
gradient and of its optimizer state. When a block is about to compute, its pieces are gathered;
afterwards they are dropped again. Gradients are summed and cut in one step (Zhao et al. 2023,
arXiv 2304.11277; the idea is ZeRO's third stage, Rajbhandari et al. 2019, 1910.02054).

Memory shrinks with the number of processes, at 1.5 times the traffic of DDP. With bfloat16, blocks
are gathered in 16 bits and gradients are summed in float32; the weights outside the blocks
(embedding, last norm, output) and the residual stream between them stay in float32, as in one
process. Gradients are sent after every micro-batch, because keeping them whole until the last one
would cost the memory that sharding saves.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from glassmind.errors import UserError
from glassmind.model import Block, Transformer
from glassmind.model.experts import Router
from glassmind.runs import checkpoint, distributed_checkpoint
from glassmind.runs.checkpoint import Checkpoint
from glassmind.runs.weights import load_weights
from glassmind.train.batch import Batch
from glassmind.train.objectives.objective import Loss, Objective
from glassmind.train.optimizers.muon import orthogonalise_together
from glassmind.train.processes.distributed import LossModule, MultiProcessGroup


class FullyShardedGroup(MultiProcessGroup):
    """A process that holds its share of every parameter."""

    holds_full_model = False

    def wrap(self, module: nn.Module, device: torch.device, dtype: torch.dtype | None) -> None:
        self.autocast = torch.autocast(device.type, dtype or torch.bfloat16, dtype is not None)
        mesh = init_device_mesh(device.type, (self.size,))
        policy = MixedPrecisionPolicy()
        if dtype is not None:
            policy = MixedPrecisionPolicy(
                param_dtype=dtype, reduce_dtype=torch.float32, cast_forward_inputs=False
            )
        modules = list(module.modules())
        # A router's balance is moved by counts, not by gradients: every process has all of it.
        whole = {m.balance for m in modules if isinstance(m, Router) and m.balance is not None}
        for block in modules:
            if isinstance(block, Block):
                fully_shard(block, mesh=mesh, mp_policy=policy, ignored_params=whole)
        self.root = LossModule(module)
        fully_shard(self.root, mesh=mesh, ignored_params=whole)
        self.parameters = dict(module.named_parameters())

    def loss(self, objective: Objective, batch: Batch) -> Loss:
        loss: Loss = self.root(objective, batch)
        return loss

    def for_evaluation(self, objective: Objective) -> Objective:
        return _Evaluated(self, objective)

    def gradient_norm(self, gradients: list[Tensor]) -> Tensor:
        norm = nn.utils.get_total_norm(gradients)
        return norm.full_tensor() if isinstance(norm, DTensor) else norm

    def orthogonalise(self, matrices: list[Tensor]) -> list[Tensor]:
        """The iteration needs whole matrices, so they are gathered and their updates cut again."""
        whole = [m.full_tensor() if isinstance(m, DTensor) else m for m in matrices]
        updates = orthogonalise_together(whole, self.orthogonalise_shared)
        return [_cut(u, like=m) for u, m in zip(updates, matrices, strict=True)]

    def full_model(self, model: Transformer) -> Transformer:
        # One tensor after the other, and only the first process keeps them.
        tensors = {}
        for name, parameter in model.named_parameters():
            full = parameter.full_tensor() if isinstance(parameter, DTensor) else parameter
            if self.is_first:
                tensors[name] = full.detach().cpu()
        if not self.is_first:
            return model
        with torch.random.fork_rng(devices=[]):
            copy = Transformer(model.config)
        load_weights(copy, tensors, "the trained model")
        return copy

    def open_writer(self, folder: Path) -> checkpoint.Writer:
        return ShardWriter(folder, self.device)

    def read(self, folder: Path) -> Checkpoint:
        """A checkpoint of any group. If it is sharded, each process reads what it holds."""
        state = checkpoint.header(folder)
        names = sorted(state["checksums"])
        try:
            checkpoint.check(folder, state, names[self.rank :: self.size])
            broken = ""
        except UserError as error:
            broken = str(error)
        if self.sum([float(bool(broken))])[0]:
            raise UserError(broken or f"{folder} is damaged")
        if state.get("sharded"):
            return Checkpoint(distributed_checkpoint.read_shards(folder, self._place), state)
        found = checkpoint.load(folder)
        tensors = {
            part: {
                name: _cut(t, like=self._owner(part, name, t.shape)) for name, t in named.items()
            }
            for part, named in found.tensors.items()
        }
        return Checkpoint(tensors, state)

    def _owner(self, part: str, name: str, shape: torch.Size) -> Tensor | None:
        """The parameter that a tensor of a checkpoint is cut like; ``None`` for a small one."""
        if part not in ("model", "optimizer"):
            return None
        owner = self.parameters.get(name.partition("|")[0])
        return owner if owner is not None and owner.shape == shape else None

    def _place(self, part: str, name: str, shape: torch.Size, dtype: torch.dtype) -> Tensor:
        owner = self._owner(part, name, shape)
        if owner is None:
            return torch.empty(shape, dtype=dtype)
        return torch.empty_like(owner.detach(), dtype=dtype)


def _cut(whole: Tensor, like: Tensor | None) -> Tensor:
    """This process's share of a tensor that all have whole, if ``like`` is cut."""
    if not isinstance(like, DTensor):
        return whole
    mesh, placements = like.device_mesh, like.placements
    return distribute_tensor(whole.to(like.device), mesh, placements, src_data_rank=None)


class ShardWriter(checkpoint.Writer):
    """Writes sharded checkpoints, in the foreground, since all processes take part."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        super().__init__(folder)
        self.device = device

    def write(
        self, step: int, checkpoint_: Checkpoint, keep: int, kind: checkpoint.Kind = "step"
    ) -> None:
        distributed_checkpoint.save(
            self.folder,
            checkpoint.name_of(step, kind),
            checkpoint_.tensors,
            checkpoint_.state,
            self.device,
        )
        if torch.distributed.get_rank() == 0:
            checkpoint.prune(self.folder, keep, kind, step)


class _Evaluated(Objective):
    """An objective for passes without gradients: through the root, which gathers the weights."""

    def __init__(self, group: FullyShardedGroup, objective: Objective) -> None:
        self.group, self.objective = group, objective
        self.module = objective.module

    def weight(self, batch: Batch) -> float:
        return self.objective.weight(batch)

    def loss(self, batch: Batch) -> Loss:
        # Weights gathered in inference mode could not be trained on afterwards.
        with torch.inference_mode(False), torch.no_grad(), self.group.autocast:
            loss: Loss = self.group.root(self.objective, batch)
        # Weights outside the blocks stay gathered after a pass; the optimizer and checkpoints need
        # the shards.
        cast("FSDPModule", self.group.root).reshard()
        return loss
