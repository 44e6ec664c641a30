"""Names that a package offers and loads when they are first used.

``from glassmind.model import Transformer`` imports torch; ``from glassmind.model.config import
ModelConfig`` need not, and would, if the package's ``__init__`` imported all that it offers. So a
command can read a recipe and refuse it without waiting for torch.

A package's ``__init__`` says where its names are twice: below ``TYPE_CHECKING`` for type checkers
and editors, and here for Python::

    __getattr__, __dir__ = lazy_names(__name__, {"glassmind.model.transformer": ("Transformer",)})
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any


def lazy_names(
    package: str, modules: Mapping[str, tuple[str, ...]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The ``__getattr__`` and ``__dir__`` of ``package``, which offers ``modules``' names.

    No name may be that of a module in the package: once imported, the module would be found.
    """
    home = {name: module for module, names in modules.items() for name in names}

    def load(name: str) -> Any:
        if name not in home:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(home[name]), name)
        setattr(sys.modules[package], name, value)  # the next use finds it without coming here
        return value

    def listed() -> list[str]:
        return sorted({*vars(sys.modules[package]), *home})

    return load, listed
