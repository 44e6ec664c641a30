"""Several processes that know each other as if torchrun had started them, without its seconds."""

from __future__ import annotations

import multiprocessing
import os
import socket
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from typing import Any

import pytest
import torch.distributed as dist

# The server imports torch once; its children are forked in milliseconds.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["glassmind.train.launch", "glassmind.pipeline.single"])
PATIENCE, GRACE = 60, 5  # seconds

needs_gloo = pytest.mark.skipif(
    not (dist.is_available() and dist.is_gloo_available()),
    reason="this build of PyTorch has no gloo",
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def together(size: int, job: Callable[..., Any], *arguments: Any) -> list[Any]:
    """What ``job(*arguments)``, a function of a module, returns in each of ``size`` processes.

    An exception comes back as an instance, ``SystemExit`` included. As under torchrun, when one
    process fails (an exception, or an exit code that is not 0) the others are ended: ``None``.
    """
    port = free_port()
    pipes, workers = [], []
    for rank in range(size):
        ours, theirs = CONTEXT.Pipe()
        worker = CONTEXT.Process(target=_work, args=(theirs, rank, size, port, job, arguments))
        worker.start()
        theirs.close()
        pipes.append(ours)
        workers.append(worker)
    results: list[Any] = [None] * size
    open_pipes = dict(zip(pipes, range(size), strict=True))
    patience: float = PATIENCE
    try:
        while open_pipes and (ready := wait(list(open_pipes), patience)):
            for pipe in ready:
                rank = open_pipes.pop(pipe)  # type: ignore[arg-type]
                results[rank] = result = pipe.recv()  # type: ignore[union-attr]
                if isinstance(result, BaseException) or (isinstance(result, int) and result):
                    patience = GRACE
        assert not open_pipes or patience == GRACE, "the processes do not answer"
    finally:
        for pipe in pipes:
            pipe.close()
        for worker in workers:
            worker.join(0 if open_pipes else 10)
            worker.kill()
    return results


def _work(
    pipe: Connection,
    rank: int,
    size: int,
    port: int,
    job: Callable[..., Any],
    arguments: tuple[Any, ...],
) -> None:
    os.environ |= {
        "TORCHELASTIC_RUN_ID": "test",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(size),
    }
    try:
        pipe.send(job(*arguments))
    except BaseException as error:
        pipe.send(error)
    pipe.poll(PATIENCE)  # the first process serves the store that the others may still ask
