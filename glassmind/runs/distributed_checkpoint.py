"""Checkpoints of sharded models: every process writes its own shards.

PyTorch's distributed checkpoint (DCP) decides who writes what and, on loading, who reads which
slice of which file, so a checkpoint written by two processes can be read by one or four. It is
configured to write safetensors (whose header says where each shard belongs), so nothing is pickled,
and the folder has the form of every other checkpoint: tensor files, and ``state.json`` with their
checksums, renamed into place when it is complete.

    step-000300/shard-00001-model-00001-of-00001.safetensors    written by the first process
    step-000300/shard-00002-model-00001-of-00001.safetensors    by the second
    step-000300/state.json

All processes must have access to the folder. The first process writes ``state.json`` and renames.
"""

from __future__ import annotations

import hashlib
import shutil
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor

from glassmind.errors import UserError
from glassmind.files import require_space
from glassmind.runs.checkpoint_state import put_in_place, write_state

Place = Callable[[str, str, torch.Size, torch.dtype], Tensor]
SEPARATOR = "|"  # separates a part's name from a tensor's; neither contains it


def flat(tensors: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """``tensors[part][name]`` as ``part|name``."""
    return {f"{part}{SEPARATOR}{n}": t for part, named in tensors.items() for n, t in named.items()}


def parted(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """The opposite of ``flat``."""
    parts: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        part, _, name = key.partition(SEPARATOR)
        parts.setdefault(part, {})[name] = tensor
    return parts


def write_shards(folder: Path, tensors: Mapping[str, Tensor], device: torch.device) -> list[str]:
    """Write this process's part of ``tensors`` (DTensors, or plain ones that one process has) and
    return the checksums of all processes' files, in order of rank; "" for a process that wrote
    none.

    All processes must call it, with an existing ``folder``.

    Raises:
        UserError: some process could not write a file; it is raised in all of them.
    """
    from torch.distributed.checkpoint.api import CheckpointException
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageWriter
    from torch.distributed.checkpoint.state_dict_saver import save

    rank, size = dist.get_rank(), dist.get_world_size()
    own = sum(t.numel() * t.element_size() for t in tensors.values()) // size
    try:
        require_space(folder, own)
        save(
            dict(tensors),
            storage_writer=HuggingFaceStorageWriter(str(folder), save_distributed=True),
        )
    except CheckpointException as error:
        reasons = {str(cause[0]).splitlines()[0] for cause in error.failures.values()}
        raise UserError(f"{folder.parent} could not be written: {'; '.join(reasons)}") from None
    digest = torch.zeros(32, dtype=torch.uint8, device=device)
    for path in folder.glob(f"shard-{rank + 1:05d}-*.safetensors"):
        with path.open("rb") as file:
            hashed = hashlib.file_digest(file, "sha256").digest()
        digest = torch.frombuffer(bytearray(hashed), dtype=torch.uint8).to(device)
    digests = [torch.empty_like(digest) for _ in range(size)]
    dist.all_gather(digests, digest)
    return [bytes(d.tolist()).hex() if d.any() else "" for d in digests]


def save(
    folder: Path,
    name: str,
    tensors: Mapping[str, Mapping[str, Tensor]],
    state: Mapping[str, object],
    device: torch.device,
) -> None:
    """Write a checkpoint ``folder/name``; all processes must call it."""
    first, unfinished = dist.get_rank() == 0, folder / f".unfinished-{name}"
    if first:
        folder.mkdir(parents=True, exist_ok=True)
        for abandoned in folder.glob(".unfinished-*"):
            shutil.rmtree(abandoned, ignore_errors=True)
        unfinished.mkdir()
    dist.barrier()
    try:
        checksums = write_shards(unfinished, flat(tensors), device)
        if first:
            files = sorted(path.name for path in unfinished.glob("shard-*.safetensors"))
            whole = {file: checksums[int(file.split("-")[1]) - 1] for file in files}
            write_state(unfinished, {"checksums": whole, "sharded": True, **state})
            put_in_place(unfinished, folder / name)
        dist.barrier()
    finally:
        if first:
            shutil.rmtree(unfinished, ignore_errors=True)


def read_shards(folder: Path, place: Place | None = None) -> dict[str, dict[str, Tensor]]:
    """The tensors of a sharded checkpoint, by part and name.

    ``place(part, name, shape, dtype)`` returns the tensor to read into (of a DTensor, each process
    reads its own part). Without it, this process alone reads whole tensors.

    Raises:
        UserError: the files do not fit together.
    """
    from torch.distributed.checkpoint.api import CheckpointException
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader
    from torch.distributed.checkpoint.metadata import TensorStorageMetadata
    from torch.distributed.checkpoint.state_dict_loader import load

    reader = HuggingFaceStorageReader(str(folder))
    try:
        found = reader.read_metadata().state_dict_metadata
        tensors: dict[str, Tensor] = {}
        for key, metadata in found.items():
            if not isinstance(metadata, TensorStorageMetadata):
                continue
            dtype, size = metadata.properties.dtype, metadata.size
            part, _, name = key.partition(SEPARATOR)
            tensors[key] = (place or _anywhere)(part, name, size, dtype)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "torch.distributed is disabled")
            load(tensors, storage_reader=reader, no_dist=place is None)
    except (CheckpointException, KeyError, ValueError, OSError, RuntimeError) as error:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise UserError(f"the shards in {folder} do not fit together: {reason}") from None
    return parted(tensors)


def _anywhere(part: str, name: str, shape: torch.Size, dtype: torch.dtype) -> Tensor:
    return torch.empty(shape, dtype=dtype)
