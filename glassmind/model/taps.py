"""Taps: named places where one can watch, replace or silence what flows through the model.

A ``Tap`` is a module that returns its input. Its *name* is its path in the model, so
``blocks.3.attention.weights`` is where block 3's attention weights pass by. Outside ``probe`` a tap
does nothing; under ``torch.compile`` it leaves no node in the graph, so a watched model and an
unwatched one are the same program until somebody looks.

    with probe(model, read=["blocks.*.attention.weights"]) as seen:
        model(ids)
    seen["blocks.0.attention.weights"]        # (B, H, T, T)

    with probe(model, replace={"blocks.2.feed_forward_out": torch.zeros_like}):
        model(ids)                            # the model without block 2's feed-forward network
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from glassmind.errors import UserError


class Tap(nn.Module):
    """The identity, with a name."""

    def forward(self, x: Tensor) -> Tensor:
        return x

    @property
    def watched(self) -> bool:
        """True inside a ``probe`` that names this tap.

        A fast kernel that never forms the tensor asks this, and computes it the plain way when
        somebody is looking.
        """
        return len(self._forward_hooks) > 0


def tap_names(model: nn.Module) -> list[str]:
    """Every tap of ``model`` in the order the data passes it."""
    return [name for name, module in model.named_modules() if isinstance(module, Tap)]


@contextmanager
def probe(
    model: nn.Module,
    read: Sequence[str] = (),
    replace: Mapping[str, Callable[[Tensor], Tensor]] | None = None,
) -> Iterator[dict[str, Tensor]]:
    """Watch (``read``) or change (``replace``) taps; names may hold ``*``.

    Yields a dictionary that fills, as the model runs, with the *last* value seen at each tap in
    ``read`` (detached, after any replacement). ``replace`` maps a name to a function from the
    tensor to the tensor that should flow on instead. A model wrapped by ``torch.compile`` must be
    probed through the module it wraps: a compiled graph has no taps left.

    Raises:
        UserError: a name matches no tap.
    """
    replace = replace or {}
    taps = {name: module for name, module in model.named_modules() if isinstance(module, Tap)}

    def matching(pattern: str) -> list[str]:
        found = [name for name in taps if fnmatchcase(name, pattern)]
        if not found:
            raise UserError(f"no tap is called {pattern!r}; the model has {', '.join(taps)}")
        return found

    seen: dict[str, Tensor] = {}
    handles: list[RemovableHandle] = []

    def changing(change: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
        return lambda module, inputs, output: change(output)

    def reading(name: str) -> Callable[..., None]:
        def record(module: nn.Module, inputs: object, output: Tensor) -> None:
            seen[name] = output.detach()

        return record

    plan: list[tuple[str, Callable[..., Tensor | None]]]
    plan = [(name, changing(fn)) for pattern, fn in replace.items() for name in matching(pattern)]
    plan += [(name, reading(name)) for pattern in read for name in matching(pattern)]
    try:
        handles = [taps[name].register_forward_hook(hook) for name, hook in plan]
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def zero(x: Tensor) -> Tensor:
    """Ablation for ``probe(replace=...)``: silence a tap."""
    return torch.zeros_like(x)
