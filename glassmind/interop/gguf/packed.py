"""Unpacks quantised tensors a few rows at a time.

A GGUF may store weights as floats (F32, F16, BF16) or *quantised*: 32 or 256 neighbours share a
scale and take a few bits each (Q8_0: one byte per number and two per block; Q4_K: a little over
four bits). The library ``gguf``, maintained by llama.cpp's authors, knows every format. We unpack
by rows, so that only a small piece of a tensor is in memory in addition to the result.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from glassmind.errors import UserError
from glassmind.interop.gguf_header import Header, TensorInfo

PIECE_BYTES = 1 << 22  # of unpacked numbers


def gguf_library() -> Any:
    """The library ``gguf``.

    Raises:
        UserError: it is not installed.
    """
    try:
        import gguf
    except ModuleNotFoundError:
        raise UserError(
            "GGUF files need the Python package gguf: pip install 'glassmind[gguf]'"
        ) from None
    return gguf


def packed_bytes(info: TensorInfo, path: object) -> int:
    """How many bytes the tensor takes in the file.

    Raises:
        UserError: its type is unknown, or its rows are not whole blocks of that type.
    """
    sizes = gguf_library().GGML_QUANT_SIZES
    if info.type_id not in sizes:
        raise UserError(f"{path}: tensor {info.name!r} has the unknown type {info.type_id}")
    block, block_bytes = map(int, sizes[info.type_id])
    if info.shape[-1] % block:
        raise UserError(
            f"{path}: tensor {info.name!r} has rows of {info.shape[-1]} numbers, "
            f"which is not a multiple of its block size {block}"
        )
    return math.prod(info.shape) // block * block_bytes


def check_places(header: Header, infos: Iterable[TensorInfo]) -> None:
    """Raise ``UserError`` unless all tensors are inside the file and none overlap."""
    end, before = 0, "the header"
    for info in sorted(infos, key=lambda info: info.start):
        if info.start < end:
            raise UserError(f"{header.path}: tensor {info.name!r} overlaps {before}")
        end, before = info.start + packed_bytes(info, header.path), f"tensor {info.name!r}"
        if end > header.file_bytes:
            raise UserError(
                f"{header.path}: tensor {info.name!r} ends at byte {end}, but the file has "
                f"{header.file_bytes}: it is cut off or damaged"
            )


def unpack(file: BinaryIO, info: TensorInfo, path: object, dtype: torch.dtype) -> Tensor:
    """The tensor described by ``info`` as plain numbers, of shape ``info.shape``.

    Raises:
        UserError: the library cannot unpack this type.
    """
    gguf = gguf_library()
    kind = gguf.GGMLQuantizationType(info.type_id)
    out = torch.empty(info.shape, dtype=dtype)
    rows = out.view(-1, info.shape[-1])
    row_bytes = packed_bytes(info, path) // len(rows)
    step = max(1, PIECE_BYTES // (4 * info.shape[-1]))
    file.seek(info.start)
    for first in range(0, len(rows), step):
        some = rows[first : first + step]
        raw = np.frombuffer(file.read(len(some) * row_bytes), np.uint8).reshape(len(some), -1)
        try:
            numbers = gguf.dequantize(raw, kind)
        except NotImplementedError:
            raise UserError(
                f"{path}: tensor {info.name!r} is packed as {kind.name}, which cannot be unpacked"
            ) from None
        some.copy_(torch.from_numpy(np.require(numbers, requirements="W")))
    return out
