"""The safetensors format: a header that says where each tensor is, then the tensors' bytes.

    8 bytes   length of the header, little-endian
    header    JSON: {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, …}
    bytes     of all tensors, without gaps

Reading it is safe if the reader checks the header: here every size is compared with the size of the
file before anything of that size is allocated. Tensors are then mapped into memory one at a time: a
weight that is used as it is needs no copy, and the mapping of one that is converted is released
afterwards. (The library's own reader maps the whole file, and what has been read stays resident
until the last tensor is released.)
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from glassmind.errors import UserError
from glassmind.interop.huggingface.json_fields import shown
from glassmind.serialization import parse_object

MOST_HEADER_BYTES = 100_000_000  # the format's own limit
_PIECE_BYTES = (
    4 << 20
)  # converted at a time; smaller tensors, such as norms, are not converted here
_BYTES = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3"), 1),
    **dict.fromkeys(("I16", "U16", "F16", "BF16"), 2),
    **dict.fromkeys(("I32", "U32", "F32"), 4),
    **dict.fromkeys(("I64", "U64", "F64"), 8),
}
DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
}
_NAMES = {dtype: name for name, dtype in DTYPES.items()}


@dataclass(frozen=True)
class StoredTensor:
    """A tensor in a file: ``n_bytes`` bytes, beginning at byte ``start`` of the file."""

    file: Path
    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    n_bytes: int


def read_header(path: Path) -> dict[str, StoredTensor]:
    """The tensors of a safetensors file, by name.

    Raises:
        UserError: the file is missing, truncated, or its header contradicts itself or the file.
    """
    if not path.is_file():  # opening a pipe would wait for somebody to write
        raise UserError(f"{path} is missing or not a file")
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > min(size - 8, MOST_HEADER_BYTES):
                raise UserError(
                    f"{path} is damaged or not a safetensors file: it claims a header of {length} "
                    f"bytes, but has {size} in all"
                )
            header = file.read(length)
    except struct.error:
        raise UserError(f"{path} is damaged or not a safetensors file: it ends too early") from None
    entries = parse_object(header, f"{path}: its header")
    entries.pop("__metadata__", None)
    data = 8 + length
    tensors = {name: _entry(path, name, entry, data) for name, entry in entries.items()}
    end = data
    for tensor in sorted(tensors.values(), key=lambda tensor: (tensor.start, tensor.n_bytes)):
        if tensor.start != end:
            raise _wrong(path, tensor.name, "overlaps another, or leaves a gap before it")
        end += tensor.n_bytes
    if end != size:
        raise UserError(
            f"{path} is damaged: its tensors end at byte {end}, and the file at byte {size}"
        )
    return tensors


def _entry(path: Path, name: str, entry: Any, data: int) -> StoredTensor:
    if not isinstance(entry, dict):
        raise _wrong(path, name, "is not described by an object")
    dtype: Any = entry.get("dtype")
    shape: Any = entry.get("shape")
    offsets: Any = entry.get("data_offsets")
    if not isinstance(dtype, str) or dtype not in _BYTES:
        raise _wrong(path, name, f"has the unknown dtype {shown(dtype)}")
    if not _whole_numbers(shape):
        raise _wrong(path, name, f"has the impossible shape {shown(shape)}")
    if not _whole_numbers(offsets) or len(offsets) != 2:
        raise _wrong(path, name, f"has the impossible data_offsets {shown(offsets)}")
    n_bytes = offsets[1] - offsets[0]
    if math.prod(shape) * _BYTES[dtype] != n_bytes:
        raise _wrong(path, name, f"has {n_bytes} bytes, which is not its shape {shown(shape)}")
    return StoredTensor(path, name, dtype, tuple(shape), data + offsets[0], n_bytes)


def _whole_numbers(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(n, int) and not isinstance(n, bool) and 0 <= n < 1 << 62 for n in value
    )


def _wrong(path: Path, name: str, problem: str) -> UserError:
    return UserError(f"{path}: tensor {shown(name)} {problem}")


def read_tensor(stored: StoredTensor, wanted: torch.dtype | None = None) -> Tensor:
    """The tensor, mapped from its file: writing to it changes memory, never the file.

    A large tensor whose dtype is not ``wanted`` is converted while it is read, a piece at a time,
    so that it is never in memory twice.

    Raises:
        UserError: its numbers are not floating-point.
    """
    if stored.dtype not in DTYPES:
        raise _wrong(
            stored.file, stored.name, f"has dtype {stored.dtype}; weights are {', '.join(DTYPES)}"
        )
    dtype = DTYPES[stored.dtype]
    if not stored.n_bytes:
        return torch.empty(stored.shape, dtype=dtype)
    if wanted not in (None, dtype) and stored.n_bytes > _PIECE_BYTES:
        return _converted(stored, dtype, wanted)
    mapped = np.memmap(stored.file, np.uint8, "c", stored.start, (stored.n_bytes,))
    raw = torch.from_numpy(mapped)
    if stored.start % dtype.itemsize:
        raw = raw.clone()
    return raw.view(dtype).view(stored.shape)


def _converted(stored: StoredTensor, dtype: torch.dtype, wanted: torch.dtype) -> Tensor:
    tensor = torch.empty(stored.shape, dtype=wanted)
    with stored.file.open("rb") as file:
        file.seek(stored.start)
        for piece in tensor.view(-1).split(_PIECE_BYTES // dtype.itemsize):
            raw = bytearray(file.read(piece.numel() * dtype.itemsize))
            piece.copy_(torch.frombuffer(raw, dtype=dtype))
    return tensor


def write_file(
    path: Path,
    outlines: Sequence[tuple[str, torch.dtype, Sequence[int]]],
    tensors: Iterable[Tensor],
) -> None:
    """Write a safetensors file, holding one tensor at a time.

    ``outlines`` give the name, dtype and shape of each of ``tensors``, in the same order.
    """
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}  # transformers requires it
    end = 0
    for name, dtype, shape in outlines:
        start, end = end, end + math.prod(shape) * dtype.itemsize
        header[name] = {
            "dtype": _NAMES[dtype],
            "shape": list(shape),
            "data_offsets": [start, end],
        }
    encoded = json.dumps(header, separators=(",", ":")).encode()
    encoded += b" " * (-len(encoded) % 8)  # so that the tensors begin at a multiple of 8
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(encoded)) + encoded)
        for tensor in tensors:
            flat = tensor.detach().cpu().contiguous().view(-1)
            flat.view(torch.uint8).numpy().tofile(file)
