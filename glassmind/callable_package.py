"""``glassmind.evaluate(...)`` and ``glassmind.train(...)``: two packages that can also be called.

The commands of the command line are functions of the package: ``glassmind.ask``,
``glassmind.ladder``. Two of them have the name of a subpackage, and an attribute of a package
cannot be both a function and the subpackage of that name. So these two modules get a class with a
``__call__`` method; Python allows assignment to ``module.__class__``. Nothing else about them
changes.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

CALLS = "glassmind.pipeline.calls"
"""Where the functions are; imported when one is called."""


class _CallablePackage(ModuleType):
    """A package that can be called: it calls the function of its name in ``CALLS``."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        name = self.__name__.rpartition(".")[2]
        return getattr(importlib.import_module(CALLS), name)(*args, **kwargs)


def make_callable(name: str) -> None:
    """Make the package ``name``, which is being imported, callable."""
    sys.modules[name].__class__ = _CallablePackage
