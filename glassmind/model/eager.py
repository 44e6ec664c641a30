"""What is never compiled, said without importing the compiler.

``torch.compiler.disable`` and ``torch.compiler.set_stance`` import ``torch._dynamo``, which takes
as long as importing torch itself. A process that only answers a question compiles nothing, so here
the compiler is asked only where it has been imported already: code cannot have been compiled, nor
be about to be, without it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import torch

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

_disabled: dict[Callable[..., Any], Callable[..., Any]] = {}


def never_compiled(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """``torch.compiler.disable`` as a decorator, put off until compiled code calls ``function``."""

    @wraps(function)
    def call(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        if torch.compiler.is_compiling():
            return _without_compiler(function)(*args, **kwargs)
        return function(*args, **kwargs)

    return call


def _without_compiler(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    if function not in _disabled:
        _disabled[function] = torch.compiler.disable(function)
    return _disabled[function]


@contextmanager
def uncompiled() -> Iterator[None]:
    """Meanwhile, what was compiled runs as it is written: for a few passes of shapes that are not
    worth compiling for."""
    if "torch._dynamo" not in sys.modules:
        yield
        return
    with torch.compiler.set_stance("force_eager"):
        yield
