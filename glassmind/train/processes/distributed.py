"""Several processes, one training run: communication, and replicas of the model (DDP)."""

from __future__ import annotations

import contextlib
import gc
import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.distributed_c10d import Store
from torch.nn.parallel import DistributedDataParallel

from glassmind.data.batches.packing import PackedRows
from glassmind.errors import UserError
from glassmind.model.experts import Router
from glassmind.runs import checkpoint
from glassmind.runs.checkpoint import Checkpoint
from glassmind.runs.recipe import TrainConfig
from glassmind.train.batch import Batch
from glassmind.train.objectives.objective import Loss, Objective
from glassmind.train.optimizers.muon import orthogonalise, orthogonalise_together
from glassmind.train.processes.process_group import ProcessGroup
from glassmind.train.watching.metrics_file import MetricsFile

TIMEOUT = timedelta(days=1)  # for the first process to read and tokenize a corpus


class MultiProcessGroup(ProcessGroup):
    """One of several processes, which communicate by gloo on CPUs and nccl on GPUs."""

    def __init__(self, rank: int, size: int, store: Store, device: torch.device) -> None:
        self.rank, self.size = rank, size
        self.store, self.device = store, device
        self._turns = 0

    def check_config(self, config: TrainConfig) -> None:
        if config.parallel == "none":
            raise UserError(
                f'train.parallel = "none" and torchrun started {self.size} processes: set it to '
                "ddp or fsdp, or run without torchrun"
            )
        if config.batch_rows % self.size:
            near = max(1, config.batch_rows // self.size) * self.size
            raise UserError(
                f"train.batch_rows ({config.batch_rows}) cannot be shared evenly by {self.size} "
                f"processes: set it to {near} or {near + self.size}, or change --nproc-per-node"
            )

    def shard(self, rows: PackedRows) -> PackedRows:
        n = len(rows)
        if n < self.size:
            raise UserError(
                f"a batch of {n} rows cannot be shared by {self.size} processes: its source must "
                "give at least one row for each"
            )
        return rows.take(slice(n * self.rank // self.size, n * (self.rank + 1) // self.size))

    def shares(self, weights: Sequence[float], device: torch.device) -> list[float | Tensor]:
        own = torch.full((), sum(weights), dtype=torch.float64, device=device)
        total = self.all_reduce(own)
        total = torch.where(total > 0, total, 1.0)
        return [torch.full_like(total, weight) / total for weight in weights]

    def all_reduce(self, number: Tensor) -> Tensor:
        total = number.double()
        dist.all_reduce(total)
        return total.to(number.dtype)

    def sum(self, numbers: Sequence[float]) -> list[float]:
        tensor = torch.tensor(list(numbers), dtype=torch.float64, device=self.device)
        dist.all_reduce(tensor)
        return tensor.tolist()

    def largest(self, numbers: Sequence[float]) -> list[float]:
        tensor = torch.tensor(list(numbers), dtype=torch.float64, device=self.device)
        dist.all_reduce(tensor, op=dist.ReduceOp.MAX)
        return tensor.tolist()

    def sum_router_loads(self, module: nn.Module) -> None:
        for router in (m for m in module.modules() if isinstance(m, Router)):
            dist.all_reduce(router.load)

    def gather_random_states(self, own: dict[str, Tensor]) -> dict[str, Tensor]:
        states = dict(own)
        for name, state in own.items():
            here = state.to(self.device)
            gathered = [torch.empty_like(here) for _ in range(self.size)]
            dist.all_gather(gathered, here)
            states |= {f"{name}-{rank}": g.cpu() for rank, g in enumerate(gathered)}
        return states

    def own_random_states(self, states: dict[str, Tensor]) -> dict[str, Tensor]:
        # Where fewer processes wrote the checkpoint, a new one takes the first one's states.
        return {
            name: states.get(f"{name}-{self.rank}", state)
            for name, state in states.items()
            if not re.search(r"-\d+$", name)
        }

    def open_metrics(self, folder: Path, stage: str) -> MetricsFile:
        return super().open_metrics(folder, stage) if self.is_first else NoMetrics(folder, stage)

    def newest_checkpoint(
        self, folder: Path, warn: Callable[[str], None], kind: checkpoint.Kind
    ) -> Checkpoint | None:
        self.barrier()  # so that nothing is being written
        found = checkpoint.newest(folder, warn, kind, self.read)
        self.barrier()  # before anything is written or deleted again
        return found

    def read(self, folder: Path) -> Checkpoint:
        """One checkpoint, for this process."""
        return checkpoint.load(folder)

    def broadcast(self, decision: bool) -> bool:
        return self.sum([float(decision and self.is_first)])[0] > 0

    def require_same(self, text: str, what: str) -> None:
        digest = hashlib.sha256(text.encode()).hexdigest()
        self.store.set(f"same/{what}/{self.rank}", digest)
        mine = self.store.get(f"same/{what}/0").decode()
        different = [r for r in range(self.size)
                     if self.store.get(f"same/{what}/{r}").decode() != mine]  # fmt: skip
        if different:
            raise UserError(
                f"process {different[0]} was started with another {what} than process 0: give all "
                "processes the same command and the same files"
            )

    @contextlib.contextmanager
    def first_process_first(self) -> Iterator[None]:
        self._turns += 1
        turn = f"turn/{self._turns}"
        if not self.is_first and self._outcome(f"{turn}/0") == "failed":
            raise SystemExit(2)  # the first process reports the reason
        try:
            yield
        except BaseException:
            self.store.set(f"{turn}/{self.rank}", "failed")
            raise
        self.store.set(f"{turn}/{self.rank}", "done")
        for rank in range(self.size):
            if self._outcome(f"{turn}/{rank}") == "failed":
                raise SystemExit(2)

    def _outcome(self, key: str) -> str:
        self.store.wait([key], TIMEOUT)
        return self.store.get(key).decode()

    def barrier(self) -> None:
        dist.barrier()

    def orthogonalise_shared(self, matrices_NRC: Tensor) -> Tensor:
        """``orthogonalise``, with the matrices dealt out among the processes and the results sent
        to all: the iteration takes longer than sending its result."""
        each = -(-len(matrices_NRC) // self.size)
        mine = matrices_NRC[self.rank * each : (self.rank + 1) * each]
        done = matrices_NRC.new_zeros((each, *matrices_NRC.shape[1:]))
        if len(mine):
            done[: len(mine)] = orthogonalise(mine)
        everyone = matrices_NRC.new_empty((self.size * each, *matrices_NRC.shape[1:]))
        dist.all_gather_single(everyone, done)
        return everyone[: len(matrices_NRC)]


class NoMetrics(MetricsFile):
    """The metrics of a process that does not write them."""

    def append(self, step: int, figures: dict[str, Any]) -> None:
        pass

    def n_bytes(self) -> int:
        return 0

    def cut(self, n_bytes: int) -> None:
        pass

    def forget_stage(self) -> None:
        pass


class NoWriter(checkpoint.Writer):
    """The checkpoints of a process that does not write them."""

    def write(
        self, step: int, checkpoint: Checkpoint, keep: int, kind: checkpoint.Kind = "step"
    ) -> None:
        pass


class LossModule(nn.Module):
    """A module whose ``forward`` is an objective's loss: what PyTorch's wrappers hook into."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, objective: Objective, batch: Batch) -> Loss:
        return objective.loss(batch)


class DataParallelGroup(MultiProcessGroup):
    """The whole model in every process; gradients are averaged while they are computed (DDP)."""

    def wrap(self, module: nn.Module, device: torch.device, dtype: torch.dtype | None) -> None:
        # Looking for unused parameters costs little and has two advantages: an expert or a head
        # that a batch does not reach is no error, and buckets are never rearranged after the first
        # step, which would change the order of additions between a resumed run and one that was not
        # interrupted.
        self.ddp = DistributedDataParallel(
            LossModule(module),
            forward_sync_buffers=False,  # the only ones that change are counts: sum_router_loads
            find_unused_parameters=True,
            gradient_as_bucket_view=True,
        )

    def loss(self, objective: Objective, batch: Batch) -> Loss:
        loss: Loss = self.ddp(objective, batch)
        return loss

    def gradient_sync(self, last: bool) -> contextlib.AbstractContextManager[object]:
        return contextlib.nullcontext() if last else self.ddp.no_sync()

    def orthogonalise(self, matrices: list[Tensor]) -> list[Tensor]:
        return orthogonalise_together(matrices, self.orthogonalise_shared)

    def open_writer(self, folder: Path) -> checkpoint.Writer:
        return checkpoint.Writer(folder) if self.is_first else NoWriter(folder)

    def close(self) -> None:
        # DDP's reducer shares ownership of the group. If it were the last owner, the destructor
        # would join the group's threads while this thread holds the GIL, and a thread that frees a
        # tensor needs the GIL: a deadlock (github.com/pytorch/pytorch/issues/56297).
        self.__dict__.pop("ddp", None)
        gc.collect()
