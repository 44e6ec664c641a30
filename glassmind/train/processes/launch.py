"""How a process detects that torchrun started it, and joins the others.

    with launched() as launch:
        ...                                    # read the recipe, choose the device
        group = launch.join(parallel, device)  # from here on, processes can communicate
        ...

A mistake of the user usually raises an error in every process at once. Inside the block, the first
process to raise it reports it; the others exit silently with the same code.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Literal

import torch
import torch.distributed as dist
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from glassmind.errors import UserError
from glassmind.train.processes.distributed import DataParallelGroup
from glassmind.train.processes.fully_sharded import FullyShardedGroup
from glassmind.train.processes.process_group import ProcessGroup

Parallel = Literal["auto", "none", "ddp", "fsdp"]


class Launch:
    """A process that torchrun started: its rank, and a store that all processes share."""

    def __init__(self) -> None:
        store, self.rank, self.size = next(iter(rendezvous("env://")))
        self.local_rank = int(os.environ.get("LOCAL_RANK", "0"))
        restarts = int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))
        # torchrun may keep its store through a restart, with the addresses of the old processes.
        self.store = PrefixStore(f"attempt-{restarts}", store)
        self.restarted = restarts > 0
        self.group = ProcessGroup()

    def device(self, device: torch.device) -> torch.device:
        """This process's own GPU, where ``device`` is a GPU without a number.

        Raises:
            UserError: the machine has fewer GPUs than torchrun started processes.
        """
        if device.type != "cuda":
            return device
        found = torch.cuda.device_count()
        if self.local_rank >= found:
            raise UserError(
                f"torchrun started a process for GPU {self.local_rank} and this machine has "
                f"{found}: use --nproc-per-node {found}, or --device cpu"
            )
        return torch.device("cuda", self.local_rank)

    def join(self, parallel: Parallel, device: torch.device) -> ProcessGroup:
        """The group of all processes, over nccl on GPUs and gloo elsewhere.

        Raises:
            UserError: this build of PyTorch has no such backend.
        """
        backend = "nccl" if device.type == "cuda" else "gloo"
        available = dist.is_nccl_available() if backend == "nccl" else dist.is_gloo_available()
        if not available:
            raise UserError(
                f"this build of PyTorch has no {backend}, which training in several processes on "
                f"{device.type} needs: install a build that has it, or run without torchrun"
            )
        if device.type == "cuda":
            torch.cuda.set_device(device)
        store = PrefixStore("group", self.store)
        dist.init_process_group(backend, store=store, rank=self.rank, world_size=self.size)
        kind = FullyShardedGroup if parallel == "fsdp" else DataParallelGroup
        self.group = kind(self.rank, self.size, PrefixStore("training", self.store), device)
        return self.group

    def is_first_to_report(self) -> bool:
        """True for the first process that asks."""
        return self.store.add("reported", 1) == 1


class SingleProcessLaunch(Launch):
    """A process that was started by itself."""

    def __init__(self) -> None:
        self.restarted = False

    def device(self, device: torch.device) -> torch.device:
        return device

    def join(self, parallel: Parallel, device: torch.device) -> ProcessGroup:
        return ProcessGroup()

    def is_first_to_report(self) -> bool:
        return True


@contextlib.contextmanager
def launched() -> Iterator[Launch]:
    """How this process was started; see above.

    Raises:
        UserError: another process of the run is gone, or the block raised it.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        yield SingleProcessLaunch()
        return
    if not dist.is_available():
        raise UserError("this build of PyTorch has no torch.distributed: run without torchrun")
    launch = Launch()
    try:
        yield launch
    except UserError:
        if not launch.is_first_to_report():
            raise SystemExit(2) from None
        raise
    except KeyboardInterrupt:
        if launch.rank:
            raise SystemExit(130) from None
        raise
    except RuntimeError as error:
        if not _lost_a_process(error):
            raise
        if not launch.is_first_to_report():
            raise SystemExit(2) from None
        raise UserError(
            "another process of this run is gone: torchrun --max-restarts 3 starts all of them "
            "again from the last checkpoint, and so does the same command with --resume"
        ) from None
    if dist.is_initialized():
        launch.group.close()
        dist.destroy_process_group()


def _lost_a_process(error: RuntimeError) -> bool:
    """Whether a collective failed because its other end is no longer there."""
    text = str(error)
    signs = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "gloo", "NCCL")
    return isinstance(error, dist.DistError) or any(sign in text for sign in signs)
