"""The processes that train one model together, as the trainer sees them.

``torchrun --nproc-per-node 2 -m -- glassmind train ...`` starts one program several times. Each
process (a *rank*) computes the gradient of its share of the rows of every batch, the gradients are
averaged, and all processes take the same step. Only the first process prints and writes.

``ProcessGroup`` is the group of one process, where every operation is the identity.
``distributed.DataParallelGroup`` (DDP, Li et al. 2020, arXiv 2006.15704) has the whole model in
every process, and ``fully_sharded.FullyShardedGroup`` splits it. The same rows are read in the same
order whatever the number of processes, so one, two and four processes give the same losses up to
the order in which floating-point numbers are added.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from glassmind.data.batches.packing import PackedRows
from glassmind.errors import UserError
from glassmind.model import Transformer
from glassmind.runs import checkpoint
from glassmind.runs.checkpoint import Checkpoint
from glassmind.runs.recipe import TrainConfig
from glassmind.train.batch import Batch
from glassmind.train.objectives.objective import Loss, Objective
from glassmind.train.optimizers.muon import orthogonalise_together
from glassmind.train.watching.metrics_file import MetricsFile


class ProcessGroup:
    """A single process, and the base class of groups of several."""

    rank, size = 0, 1
    holds_full_model = True  # whether the first process has all weights and gradients

    @property
    def is_first(self) -> bool:
        """Whether this process prints and writes."""
        return self.rank == 0

    def check_config(self, config: TrainConfig) -> None:
        """Refuse a recipe that this group cannot run, in every process alike.

        Raises:
            UserError: it needs several processes and there is one.
        """
        if config.parallel in ("ddp", "fsdp"):
            raise UserError(
                f'train.parallel = "{config.parallel}" needs several processes: start it with '
                "torchrun --nproc-per-node 2 -m -- glassmind train ..."
            )

    # ------------------------------------------------------------------------- one step

    def wrap(self, module: nn.Module, device: torch.device, dtype: torch.dtype | None) -> None:
        """Prepare an objective's module, which is on ``device``; ``dtype`` is autocast's."""

    def shard(self, rows: PackedRows) -> PackedRows:
        """This process's share of a batch's rows.

        Raises:
            UserError: there are fewer rows than processes.
        """
        return rows

    def shares(self, weights: Sequence[float], device: torch.device) -> list[float | Tensor]:
        """The share of each of this process's batches in the mean over all terms of all processes;
        ``weights`` are the batches' numbers of terms. Float64, on ``device`` if tensors."""
        total = sum(weights) or 1.0
        return [weight / total for weight in weights]

    def loss(self, objective: Objective, batch: Batch) -> Loss:
        """``objective.loss`` of the wrapped module."""
        return objective.loss(batch)

    def gradient_sync(self, last: bool) -> contextlib.AbstractContextManager[object]:
        """A context for the passes of one micro-batch. Gradients are averaged over the processes
        after the ``last`` one; before, they may stay local."""
        return contextlib.nullcontext()

    def all_reduce(self, number: Tensor) -> Tensor:
        """A scalar summed over all processes, without waiting for the device."""
        return number

    def sum(self, numbers: Sequence[float]) -> list[float]:
        """Each number summed over all processes."""
        return list(numbers)

    def largest(self, numbers: Sequence[float]) -> list[float]:
        """The largest value of each number in any process."""
        return list(numbers)

    def gradient_norm(self, gradients: list[Tensor]) -> Tensor:
        """The norm of all gradients together, including shards in other processes."""
        return nn.utils.get_total_norm(gradients)

    def orthogonalise(self, matrices: list[Tensor]) -> list[Tensor]:
        """Muon's updates for matrices that all processes have."""
        return orthogonalise_together(matrices)

    def sum_router_loads(self, module: nn.Module) -> None:
        """Give every router the number of tokens that all processes sent to each expert."""

    # ----------------------------------------------------------------- weights and state

    def for_evaluation(self, objective: Objective) -> Objective:
        """``objective`` for passes without gradients during training."""
        return objective

    def full_model(self, model: Transformer) -> Transformer:
        """``model`` with all of its weights, in the first process; all must call it."""
        return model

    def gather_random_states(self, own: dict[str, Tensor]) -> dict[str, Tensor]:
        """The states of the random generators of all processes; ``own`` are this process's."""
        return own

    def own_random_states(self, states: dict[str, Tensor]) -> dict[str, Tensor]:
        """This process's part of what ``gather_random_states`` returned."""
        return states

    # ----------------------------------------------------------------------------- files

    def open_metrics(self, folder: Path, stage: str) -> MetricsFile:
        """The run's metrics."""
        return MetricsFile(folder / "metrics.jsonl", stage)

    def open_writer(self, folder: Path) -> checkpoint.Writer:
        """The writer of checkpoints below ``folder``."""
        return checkpoint.Writer(folder)

    def newest_checkpoint(
        self, folder: Path, warn: Callable[[str], None], kind: checkpoint.Kind
    ) -> Checkpoint | None:
        """The newest undamaged checkpoint, the same in all processes."""
        return checkpoint.newest(folder, warn, kind)

    # -------------------------------------------------------------------- working together

    def broadcast(self, decision: bool) -> bool:
        """The first process's decision, returned in all processes."""
        return decision

    def require_same(self, text: str, what: str) -> None:
        """Make sure that ``text`` is the same in all processes.

        Raises:
            UserError: it is not; ``what`` names it in the message.
        """

    @contextlib.contextmanager
    def first_process_first(self) -> Iterator[None]:
        """The first process runs the block, then all others, who find its files.

        A ``UserError`` in any process ends all.
        """
        yield

    def barrier(self) -> None:
        """Wait for all processes."""

    def close(self) -> None:
        """Release what must be released before PyTorch's process group is destroyed."""
