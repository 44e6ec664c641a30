"""Several processes, one training run: what the trainer asks of those it runs beside.

``torchrun --nproc-per-node 2 -m -- glassmind train ...`` starts one program several times. Each
process (a *rank*) computes the gradient of its share of the rows of every batch, the gradients are
averaged, and all take the same step. The first rank alone speaks and writes.

A ``World`` is the trainer's view of that. This one has a single member and does nothing, to the
bit; ``Replicas`` (DDP, Li et al. 2020, arXiv 2006.15704) has the whole model in every process, and
``fully_sharded.Shards`` splits it. The same rows are read in the same order whatever the size, so
one, two and four processes give the same losses but for the order in which floats are added.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.distributed_c10d import Store
from torch.nn.parallel import DistributedDataParallel

from glassmind.data.packing import PackedRows
from glassmind.errors import UserError
from glassmind.model import Transformer
from glassmind.model.experts import Router
from glassmind.runs import checkpoint
from glassmind.runs.checkpoint import Checkpoint
from glassmind.runs.recipe import TrainConfig
from glassmind.train.metrics_file import MetricsFile
from glassmind.train.muon import orthogonalise, orthogonalise_together
from glassmind.train.objective import Batch, Objective

Loss = tuple[Tensor, dict[str, float | Tensor]]
PATIENCE = timedelta(days=1)  # for the first rank to read and tokenize a corpus


class World:
    """One process by itself; the base of those that have company."""

    rank, size = 0, 1
    holds_all = True  # whether a first process has all weights and gradients

    @property
    def first(self) -> bool:
        """Whether this process speaks and writes."""
        return self.rank == 0

    def require(self, config: TrainConfig) -> None:
        """Refuse a recipe that this world cannot run; the same in every process.

        Raises:
            UserError: it asks for company and there is none.
        """
        if config.parallel in ("ddp", "fsdp"):
            raise UserError(
                f'train.parallel = "{config.parallel}" needs several processes: start it with '
                "torchrun --nproc-per-node 2 -m -- glassmind train ..."
            )

    def share(self, rows: PackedRows) -> PackedRows:
        """This process's rows of a batch."""
        return rows

    def adopt(self, module: nn.Module, device: torch.device, dtype: torch.dtype | None) -> None:
        """Prepare an objective's module, which is on ``device``; ``dtype`` is autocast's."""

    def loss(self, objective: Objective, batch: Batch) -> Loss:
        """``objective.loss`` with the adopted module."""
        return objective.loss(batch)

    def waiting(self, last: bool) -> contextlib.AbstractContextManager[object]:
        """A context for one micro-batch's passes: all but the ``last`` may keep their gradients
        to themselves."""
        return contextlib.nullcontext()

    def sum(self, numbers: Sequence[float]) -> list[float]:
        """Each number summed over all processes."""
        return list(numbers)

    def gradient_norm(self, gradients: list[Tensor]) -> Tensor:
        """The norm of all gradients together, shards of them included."""
        return nn.utils.get_total_norm(gradients)

    def orthogonalise(self, matrices: list[Tensor]) -> list[Tensor]:
        """Muon's updates for matrices that are alike in all processes."""
        return orthogonalise_together(matrices)

    def add_up_loads(self, module: nn.Module) -> None:
        """Let every router know how many tokens all processes sent to each expert."""

    def measured(self, objective: Objective) -> Objective:
        """``objective`` for passes that only measure, during training."""
        return objective

    def whole(self, model: Transformer) -> Transformer:
        """``model`` with all of its weights, in the first process; all must ask."""
        return model

    def random_states(self, own: dict[str, Tensor]) -> dict[str, Tensor]:
        """The states of every process's random generators, of which ``own`` are this one's."""
        return own

    def own_random(self, states: dict[str, Tensor]) -> dict[str, Tensor]:
        """What ``random_states`` was given in this process."""
        return states

    def metrics(self, folder: Path, stage: str) -> MetricsFile:
        """The run's metrics."""
        return MetricsFile(folder / "metrics.jsonl", stage)

    def writer(self, folder: Path) -> checkpoint.Writer:
        """What writes checkpoints below ``folder``."""
        return checkpoint.Writer(folder)

    def newest(
        self, folder: Path, warn: Callable[[str], None], kind: checkpoint.Kind
    ) -> Checkpoint | None:
        """The newest whole checkpoint, the same in all processes."""
        return checkpoint.newest(folder, warn, kind)

    def together(self, decision: bool) -> bool:
        """The first process's decision, in all."""
        return decision

    def agree(self, text: str, what: str) -> None:
        """Make sure that ``text`` is the same everywhere.

        Raises:
            UserError: it is not; ``what`` names it in the message.
        """

    @contextlib.contextmanager
    def in_turn(self) -> Iterator[None]:
        """The first process does the block, then all others, who find its work done.

        A ``UserError`` in any of them ends all.
        """
        yield

    def barrier(self) -> None:
        """Wait for all."""

    def leave(self) -> None:
        """Let go of the process group, which is about to be destroyed."""


class Company(World):
    """A process among others, over a process group: gloo on CPUs, nccl on GPUs."""

    def __init__(self, rank: int, size: int, store: Store, device: torch.device) -> None:
        self.rank, self.size = rank, size
        self.store, self.device = store, device
        self._turns = 0

    def require(self, config: TrainConfig) -> None:
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

    def share(self, rows: PackedRows) -> PackedRows:
        each = len(rows) // self.size
        return rows.take(slice(self.rank * each, (self.rank + 1) * each))

    def sum(self, numbers: Sequence[float]) -> list[float]:
        tensor = torch.tensor(list(numbers), dtype=torch.float64, device=self.device)
        dist.all_reduce(tensor)
        return tensor.tolist()

    def add_up_loads(self, module: nn.Module) -> None:
        for router in (m for m in module.modules() if isinstance(m, Router)):
            dist.all_reduce(router.load)

    def random_states(self, own: dict[str, Tensor]) -> dict[str, Tensor]:
        states = dict(own)
        for name, state in own.items():
            here = state.to(self.device)
            gathered = [torch.empty_like(here) for _ in range(self.size)]
            dist.all_gather(gathered, here)
            states |= {f"{name}-{rank}": g.cpu() for rank, g in enumerate(gathered)}
        return states

    def own_random(self, states: dict[str, Tensor]) -> dict[str, Tensor]:
        # A process that the world had not when it was saved takes the first one's.
        return {
            name: states.get(f"{name}-{self.rank}", states[name])
            for name in ("torch", "cuda")
            if name in states
        }

    def metrics(self, folder: Path, stage: str) -> MetricsFile:
        return super().metrics(folder, stage) if self.first else NoMetrics(folder, stage)

    def newest(
        self, folder: Path, warn: Callable[[str], None], kind: checkpoint.Kind
    ) -> Checkpoint | None:
        self.barrier()  # until nothing is being written any more
        found = checkpoint.newest(folder, warn, kind, self.read)
        self.barrier()  # before anything is written or deleted again
        return found

    def read(self, folder: Path) -> Checkpoint:
        """One checkpoint, for this process."""
        return checkpoint.load(folder)

    def together(self, decision: bool) -> bool:
        return self.sum([float(decision and self.first)])[0] > 0

    def agree(self, text: str, what: str) -> None:
        digest = hashlib.sha256(text.encode()).hexdigest()
        self.store.set(f"agree/{what}/{self.rank}", digest)
        mine = self.store.get(f"agree/{what}/0").decode()
        different = [r for r in range(self.size)
                     if self.store.get(f"agree/{what}/{r}").decode() != mine]  # fmt: skip
        if different:
            raise UserError(
                f"process {different[0]} was started with another {what} than process 0: give all "
                "processes the same command and the same files"
            )

    @contextlib.contextmanager
    def in_turn(self) -> Iterator[None]:
        self._turns += 1
        turn = f"turn/{self._turns}"
        if not self.first and self._outcome(f"{turn}/0") == "failed":
            raise SystemExit(2)  # the first process says why
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
        self.store.wait([key], PATIENCE)
        return self.store.get(key).decode()

    def barrier(self) -> None:
        dist.barrier()

    def in_shares(self, matrices_NRC: Tensor) -> Tensor:
        """``orthogonalise``, every process doing its part of the batch and sending it round: the
        iteration costs more than its result to send."""
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


class Replicas(Company):
    """The whole model in every process; gradients are averaged while they are computed (DDP)."""

    def adopt(self, module: nn.Module, device: torch.device, dtype: torch.dtype | None) -> None:
        # Looking for unused parameters costs little and buys two things: an expert or a head that
        # a batch does not reach is no error, and buckets are never rearranged after the first
        # step, which would add floats in another order in a resumed run than in one that went on.
        self.ddp = DistributedDataParallel(
            LossModule(module),
            forward_sync_buffers=False,  # the only buffers that change are counts, added up apart
            find_unused_parameters=True,
            gradient_as_bucket_view=True,
        )

    def loss(self, objective: Objective, batch: Batch) -> Loss:
        loss: Loss = self.ddp(objective, batch)
        return loss

    def waiting(self, last: bool) -> contextlib.AbstractContextManager[object]:
        return contextlib.nullcontext() if last else self.ddp.no_sync()

    def orthogonalise(self, matrices: list[Tensor]) -> list[Tensor]:
        return orthogonalise_together(matrices, self.in_shares)

    def writer(self, folder: Path) -> checkpoint.Writer:
        return checkpoint.Writer(folder) if self.first else NoWriter(folder)

    def leave(self) -> None:
        # DDP's reducer owns a part of the group. Were it the last to, the group's destructor would
        # wait for its threads while this one holds the GIL, and a thread that is just letting go
        # of a tensor would wait for the GIL: for ever (github.com/pytorch/pytorch/issues/56297).
        self.__dict__.pop("ddp", None)
        gc.collect()
