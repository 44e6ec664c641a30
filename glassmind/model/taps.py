"""Taps: named places at which tensors inside the model can be read, replaced or zeroed.

A ``Tap`` is a module that returns its input. Its *name* is its path in the model, so block 3's
attention weights pass the tap ``blocks.3.attention.weights``. Outside ``probe`` a tap does nothing;
``torch.compile`` removes it from the graph, so taps cost nothing while no one probes the model.

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

        A fast kernel that never forms the tensor checks this, and uses the plain formula instead if
        it is true.
        """
        return len(self._forward_hooks) > 0


def tap_names(model: nn.Module) -> list[str]:
    """The names of all taps of ``model``, in the order in which data passes them."""
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
    """Ablation for ``probe(replace=...)``: zeros in place of the tensor."""
    return torch.zeros_like(x)
