"""``glassmind.evaluate(...)`` and ``glassmind.train(...)``: two folders that can also be called.

The verbs of the command line are functions of the package: ``glassmind.ask``, ``glassmind.ladder``.
Two of them bear the name of a folder, and an attribute of a package cannot be a function and the
folder of that name at once. So these two modules have a class that can be called, which Python
allows (``module.__class__`` may be assigned): everything else about them stays as it is.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

CALLS = "glassmind.pipeline.calls"
"""Where the functions are; imported when one is called."""


class _CallablePackage(ModuleType):
    """A package that, called, does what the function of its name in ``CALLS`` does."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        name = self.__name__.rpartition(".")[2]
        return getattr(importlib.import_module(CALLS), name)(*args, **kwargs)


def make_callable(name: str) -> None:
    """Let the package called ``name``, which is being imported, be called."""
    sys.modules[name].__class__ = _CallablePackage
