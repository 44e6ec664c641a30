"""Names of a package that are imported when they are first used.

``from glassmind.model import Transformer`` imports torch. ``from glassmind.model.config import
ModelConfig`` does not need torch, but would import it if the package's ``__init__`` imported all of
its names. With lazy names, a command can read a recipe and refuse it without waiting for torch.

A package's ``__init__`` states twice where its names are: below ``TYPE_CHECKING`` for type checkers
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
    """The ``__getattr__`` and ``__dir__`` of ``package`` for the names of ``modules``.

    No name may be that of a module in the package, which would hide it once imported.
    """
    home = {name: module for module, names in modules.items() for name in names}

    def load(name: str) -> Any:
        if name not in home:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(home[name]), name)
        setattr(sys.modules[package], name, value)  # later uses do not call this function
        return value

    def listed() -> list[str]:
        return sorted({*vars(sys.modules[package]), *home})

    return load, listed
