"""The structures and functions of ``kernels/kernels.cpp``, as Python sees them.

They have the same fields as in the ``.hpp`` files, whose comments explain them. Code that stores a
pointer in a structure must keep the tensor alive while the structure is used.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from glassmind.generate.packed.native import library

_integer, _pointer, _float = ctypes.c_int64, ctypes.c_void_p, ctypes.c_float

STORED = {torch.float32: 0, torch.bfloat16: 1, torch.int8: 2}
"""How numbers of a KV cache can be stored, and the number of each format in the compiled loops."""


class CacheLayer(ctypes.Structure):
    _fields_ = [(name, _pointer) for name in ("keys", "values", "key_scales", "value_scales")]


class Places(ctypes.Structure):
    _fields_ = [
        ("tables", _pointer),
        ("table_width", _integer),
        *((name, _pointer) for name in ("row_of", "visible", "slots")),
    ]


class AttentionShape(ctypes.Structure):
    _fields_ = [
        *((name, _integer) for name in ("heads", "kv_heads", "key_width", "value_width", "window")),
        ("scale", _float),
        ("slopes", _pointer),
    ]


class Matrix(ctypes.Structure):
    _fields_ = [
        ("panels", _pointer),
        ("bias", _pointer),
        *((name, _integer) for name in ("inputs", "outputs", "format")),
    ]


class Norm(ctypes.Structure):
    _fields_ = [("weight", _pointer), ("bias", _pointer)]


class Layer(ctypes.Structure):
    _fields_ = [
        *((f"{name}_norm", Norm) for name in ("attention", "query", "key", "attention_out",
                                              "feed_forward", "feed_forward_out")),
        *((name, Matrix) for name in ("qkv", "output", "up", "down")),
        *((name, _pointer) for name in ("cos", "sin", "slopes")),
        ("window", _integer),
    ]  # fmt: skip


class Decoder(ctypes.Structure):
    _fields_ = [
        ("layers", _pointer),
        ("final_norm", Norm),
        *((name, _integer) for name in ("n_layers", "d_model", "heads", "kv_heads", "head_dim",
                                        "d_hidden", "layer_norm", "norm_all_heads", "activation",
                                        "gated")),
        ("norm_eps", _float),
        ("scale", _float),
    ]  # fmt: skip


class Embedding(ctypes.Structure):
    _fields_ = [
        *((name, _pointer) for name in ("table", "matrix", "positions")),
        ("scale", _float),
    ]


class Run(ctypes.Structure):
    _fields_ = [
        *((name, _pointer) for name in ("model", "caches", "tables")),
        ("table_width", _integer),
        ("embedding", Embedding),
        *((name, _pointer) for name in ("unembed", "rows", "choices", "stops", "drawn")),
        *((name, _integer) for name in ("n_rows", "most_steps")),
        *((name, ctypes.c_double) for name in ("seconds", "model_seconds")),
    ]


@dataclass(frozen=True)
class Calls:
    """The compiled functions. Each returns ``None``."""

    paged_attend: Callable[..., None]
    paged_store: Callable[..., None]
    multiply_matrix: Callable[..., None]
    decode_tokens: Callable[..., None]
    draw_tokens: Callable[..., None]
    decode_run: Callable[..., None]


@functools.cache
def calls() -> Calls | None:
    """The compiled functions; ``None`` if they cannot be compiled on this machine."""
    loaded = library()
    if loaded is None:
        return None
    signatures = {
        "paged_attend": (_integer, *[_pointer] * 3, _integer, _pointer, _pointer),
        "paged_store": (_integer, *[_pointer] * 5, _integer),
        "multiply_matrix": (_pointer, _pointer, _integer, _integer, _pointer),
        "decode_tokens": (_integer, *[_pointer] * 4, _integer, _pointer),
        "draw_tokens": (_pointer, _integer, _pointer, _pointer, _integer, _pointer),
        "decode_run": (_integer, _pointer),
    }
    functions = {}
    for name, arguments in signatures.items():
        functions[name] = getattr(loaded, name)
        functions[name].restype, functions[name].argtypes = None, arguments
    return Calls(**functions)


def at(tensor: Tensor | None) -> int | None:
    """The address of a tensor's data; ``None`` for no tensor."""
    return None if tensor is None else tensor.data_ptr()


def address(structure: ctypes.Structure | ctypes.Array[ctypes.Structure]) -> int:
    """The address of a structure."""
    return ctypes.addressof(structure)
