"""Several processes that know each other as if torchrun had started them, without its seconds."""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import tempfile
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import pytest
import torch.distributed as dist

# The server imports torch once; its children are forked in milliseconds.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["glassmind.train.processes.launch", "glassmind.pipeline.training"])
PATIENCE, GRACE = 60, 5  # seconds

needs_gloo = pytest.mark.skipif(
    not (dist.is_available() and dist.is_gloo_available()),
    reason="this build of PyTorch has no gloo",
)


def together(size: int, job: Callable[..., Any], *arguments: Any) -> list[Any]:
    """What ``job(*arguments)``, a function of a module, returns in each of ``size`` processes.

    An exception comes back as an instance, ``SystemExit`` included. As under torchrun, when one
    process fails (an exception, or an exit code that is not 0) the others are ended: ``None``.
    """
    store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    results: list[Any] = [None] * size
    workers: dict[Connection, Any] = {}
    with tempfile.TemporaryDirectory() as stuck:
        for rank in range(size):
            ours, theirs = CONTEXT.Pipe()
            given = (theirs, rank, size, store.port, Path(stuck) / f"rank {rank}", job, arguments)
            workers[ours] = CONTEXT.Process(target=_work, args=given)
            workers[ours].start()
            theirs.close()
        waiting = list(workers)
        patience: float = PATIENCE
        try:
            while waiting and (ready := wait(waiting, patience)):
                for pipe in ready:
                    waiting.remove(pipe)
                    results[list(workers).index(pipe)] = result = pipe.recv()
                    if isinstance(result, BaseException) or (isinstance(result, int) and result):
                        patience = GRACE
            if waiting and patience == PATIENCE:
                where = [f"{p.name}: {p.read_text('utf-8')}" for p in Path(stuck).iterdir()]
                pytest.fail("\n".join(["the processes do not answer; they are at", *where]))
        finally:
            for worker in workers.values():
                worker.join(0 if waiting else 10)
                worker.kill()
    return results


def _work(
    pipe: Connection,
    rank: int,
    size: int,
    port: int,
    stuck: Path,
    job: Callable[..., Any],
    arguments: tuple[Any, ...],
) -> None:
    os.environ |= {
        "TORCHELASTIC_RUN_ID": "test",
        "TORCHELASTIC_USE_AGENT_STORE": "True",  # as under torchrun, the parent serves the store
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(size),
    }
    with stuck.open("w", encoding="utf-8") as file:
        faulthandler.dump_traceback_later(PATIENCE - 5, file=file)
        try:
            pipe.send(job(*arguments))
        except BaseException as error:
            pipe.send(error)
        faulthandler.cancel_dump_traceback_later()
