"""Freezing: parts of a finished model that fine-tuning leaves as they are.

A frozen tensor gets no gradient, so it keeps its bits and needs no optimizer state, and below the
lowest trained layer there is no backward pass. The early layers of a language model represent
letters and words, which seldom have to change for a new task (Howard & Ruder 2018, arXiv
1801.06146, unfreeze from the top down).
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from torch import nn

from glassmind.errors import UserError


def freeze(module: nn.Module, patterns: Sequence[str]) -> list[str]:
    """Freeze the parameters that ``patterns`` name, and return their names.

    A pattern is the name of a parameter, or of a module for all that is in it; ``*`` stands for any
    part: ``embed``, ``blocks.0``, ``blocks.*.attention``.

    Raises:
        UserError: a pattern names nothing, or nothing is left to train.
    """
    parameters = dict(module.named_parameters())
    frozen: list[str] = []
    for pattern in patterns:
        found = [n for n in parameters if fnmatchcase(n, pattern) or fnmatchcase(n, f"{pattern}.*")]
        if not found:
            parts = dict.fromkeys(name.partition(".")[0] for name in parameters)
            raise UserError(
                f"finetune.freeze names {pattern!r}, and the model has no such part; it has "
                f"{', '.join(parts)}, and for example {next(iter(parameters))}"
            )
        frozen += found
    for name in frozen:
        parameters[name].requires_grad_(False)
    if patterns and not any(p.requires_grad for p in parameters.values()):
        raise UserError("finetune.freeze leaves nothing to train: name fewer parts")
    return frozen
