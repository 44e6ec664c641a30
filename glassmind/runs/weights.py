"""Reading and loading a module's weights by name; tensors that do not fit are refused."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from glassmind.errors import UserError
from glassmind.model.finite import require_finite


def named_weights(module: nn.Module) -> dict[str, Tensor]:
    """The parameters by name, each once (a tied matrix under its first name)."""
    return {name: parameter.detach() for name, parameter in module.named_parameters()}


def load_weights(module: nn.Module, tensors: Mapping[str, Tensor], what: str) -> None:
    """Copy ``tensors`` into the parameters of the same names.

    Raises:
        UserError: names or shapes differ, or a number is NaN or infinite; ``what`` names the source
            in the message.
    """
    require_finite(list(tensors.values()), what)
    copy_weights(named_weights(module), tensors, what)


def copy_weights(
    parameters: Mapping[str, Tensor], tensors: Mapping[str, Tensor], what: str
) -> None:
    """``load_weights`` for parameters that were picked by name."""
    if parameters.keys() != tensors.keys():
        odd = sorted(parameters.keys() ^ tensors.keys())[0]
        fault = "lacks" if odd in parameters else "has the unknown"
        raise UserError(f"{what} is for another model: it {fault} tensor {odd}")
    for name, parameter in parameters.items():
        given = tensors[name]
        if parameter.shape != given.shape:
            raise UserError(
                f"{what} is for another model: {name} has shape {tuple(given.shape)} "
                f"instead of {tuple(parameter.shape)}"
            )
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(tensors[name])
