"""Modules of which only names and shapes are wanted, or whose weights are still to come."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode


class _DrawNothing(TorchFunctionMode):
    """Leaves tensors as they are that ``torch.nn.init`` would fill."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = kwargs or {}
        if getattr(func, "__module__", None) == nn.init.__name__:
            return given["tensor"] if "tensor" in given else args[0]
        return func(*args, **given)


@contextmanager
def without_numbers() -> Iterator[None]:
    """Every module that is made meanwhile is on PyTorch's ``meta`` device, where a tensor has a
    shape and nothing else.

    There is nothing to initialise then, and it is not tried: to fill a ``meta`` tensor with a
    normal distribution of nothing, PyTorch imports its compiler, which takes as long as importing
    PyTorch does.
    """
    with torch.device("meta"), _DrawNothing():
        yield
