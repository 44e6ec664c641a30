"""Counting what collectives are given to move."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode


class CollectiveBytes(TorchDispatchMode):
    """Bytes by collective: of the whole gathered, the whole scattered, the whole reduced tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes: Counter[str] = Counter()

    def __torch_dispatch__(
        self,
        function: Callable[..., Any],
        types: Any,
        arguments: tuple[Any, ...] = (),
        named: dict[str, Any] | None = None,
    ) -> Any:
        name = getattr(function, "name", str)()
        if name.startswith("c10d::_allgather_base_"):
            self.bytes["all_gather"] += arguments[0].nbytes
        elif name.startswith("c10d::_reduce_scatter_base_"):
            self.bytes["reduce_scatter"] += arguments[1].nbytes
        elif name.startswith("c10d::allreduce_"):
            self.bytes["all_reduce"] += sum(tensor.nbytes for tensor in arguments[0])
        return function(*arguments, **(named or {}))
