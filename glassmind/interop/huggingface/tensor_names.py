"""Which of their tensors correspond to which of ours: tables, and applying them to a model.

A line of the table names our tensors, theirs, and the transform between them:

    Tensors(("blocks.*.attention_norm.",), ("layers.*.input_layernorm.",))

``*`` stands for the number of the layer, ``#`` for that of the expert (a line with it has as many
tensors on their side as there are experts). A name that ends in a dot means all parameters of a
module: its ``weight`` and, if the config has one, its ``bias``. Their names are appended to the
family's prefix (``model.``), unless they begin with a slash.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from glassmind.interop.huggingface.transforms import SAME, Transform

_LAYER = re.compile(r"^blocks\.(\d+)\.")


@dataclass(frozen=True)
class Tensors:
    """One line of a family's table."""

    ours: tuple[str, ...]
    theirs: tuple[str, ...]
    how: Transform = SAME


Table = tuple[Tensors, ...]


@dataclass(frozen=True)
class Binding:
    """A ``Tensors`` for one layer of a model, with the names written out."""

    ours: tuple[str, ...]
    theirs: tuple[str, ...]
    how: Transform


def renamed(names: Mapping[str, str], how: Transform = SAME) -> Table:
    """Lines for modules, each one of ours for one of theirs."""
    return tuple(Tensors((f"{ours}.",), (f"{theirs}.",), how) for ours, theirs in names.items())


def bind(names: Iterable[str], table: Table, prefix: str, n_experts: int) -> list[Binding]:
    """The lines of ``table`` that the parameters ``names`` of a model need, names written out."""
    lines = {ours: line for line in table for ours in line.ours}
    bindings: list[Binding] = []
    done: set[str] = set()
    for name in names:
        if name in done:
            continue
        found = _LAYER.match(name)
        layer = found[1] if found else ""
        pattern = _LAYER.sub("blocks.*.", name)
        module, _, last = pattern.rpartition(".")
        line = lines[pattern] if pattern in lines else lines[f"{module}."]
        ours = tuple(_written_out(part, "", layer, last) for part in line.ours)
        theirs = tuple(
            full.replace("#", str(expert))
            for full in (_written_out(part, prefix, layer, last) for part in line.theirs)
            for expert in range(n_experts if "#" in full else 1)
        )
        bindings.append(Binding(ours, theirs, line.how))
        done.update(ours)
    return bindings


def _written_out(name: str, prefix: str, layer: str, last: str) -> str:
    whole = name[1:] if name.startswith("/") else prefix + name
    return whole.replace("*", layer) + (last if whole.endswith(".") else "")
