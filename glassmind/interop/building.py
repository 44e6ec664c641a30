"""From a config and a stream of tensors to a model, with the weights in memory once.

Building a model in the ordinary way fills it with random numbers that are then overwritten, which
takes twice the memory and time. Here the model is first built on PyTorch's ``meta`` device, where
tensors have a shape but no data, and each weight is put in its place as it arrives.

The config comes from the same untrusted source as the weights. So before anything is allocated, the
file must be shown to contain as many numbers as the config asks for.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from glassmind.errors import UserError
from glassmind.model import ModelConfig, Transformer
from glassmind.model.finite import is_finite
from glassmind.model.outline import without_numbers

# Cosines and sines of all positions are made at once; 2^27 numbers are 512 MiB: those of a model
# trained for a million tokens, with heads 128 wide.
MOST_TABLE_NUMBERS = 1 << 27
# No published model has 200 layers, or 100 layers of 1,000 experts. An empty layer takes some
# milliseconds to make, and each expert has several names.
MOST_LAYERS, MOST_EXPERTS = 1000, 1 << 17


def build(
    config: ModelConfig,
    tensors: Iterable[tuple[str, Tensor]],
    what: str,
    dtype: torch.dtype = torch.float32,
    *,
    n_tensors: int,
    n_numbers: int,
) -> Transformer:
    """A model in evaluation mode with ``tensors``, named as ``Transformer`` names its parameters.

    ``n_tensors`` and ``n_numbers`` say how many tensors the source has, and how many numbers they
    contain together.

    Raises:
        UserError: the config asks for more than the source holds; a tensor is unknown, missing,
            given twice, has the wrong shape or numbers that are not finite. ``what`` names the
            source in the message.
    """
    model = skeleton(config, what, n_tensors=n_tensors, n_numbers=n_numbers)
    return fill(model, tensors, what, dtype)


def skeleton(config: ModelConfig, what: str, *, n_tensors: int, n_numbers: int) -> Transformer:
    """The model without weights, if the source has enough numbers for it.

    Raises:
        UserError: the config asks for more than the source holds.
    """
    model = outline(config, what, n_tensors=n_tensors, n_numbers=n_numbers)
    asked = sum(parameter.numel() for parameter in model.parameters())
    if asked > n_numbers:
        raise UserError(
            f"{what}: its config asks for {asked} parameters, but it holds {n_numbers} numbers"
        )
    return model


def outline(config: ModelConfig, what: str, *, n_tensors: int, n_numbers: int) -> Transformer:
    """The model without weights: every parameter is on the ``meta`` device.

    Its sizes are only checked as far as needed to build it, so that the caller can report which
    tensor is missing.

    Raises:
        UserError: a size alone is more than the source holds.
    """
    if config.vocab_size < 1:
        raise UserError(f"{what}: its config asks for a vocabulary of {config.vocab_size} tokens")
    refuse_layers(config.n_layers, what)
    if config.n_layers * config.experts.n_experts > MOST_EXPERTS:
        raise UserError(
            f"{what}: its config asks for {config.experts.n_experts} experts in {config.n_layers} "
            f"layers; {MOST_EXPERTS} in all are the limit"
        )
    # Each layer has at least one tensor of its own, and every width is a dimension of some matrix.
    sizes = {
        "n_layers": (config.n_layers, n_tensors),
        "n_experts": (config.experts.n_experts, n_numbers),
        "d_model": (config.d_model, n_numbers),
        "vocab_size": (config.vocab_size, n_numbers // config.d_model),
        "d_hidden": (config.d_hidden, n_numbers // config.d_model),
        "n_heads": (config.attention.n_heads, n_numbers // config.d_model),
        "head_dim": (config.head_dim, n_numbers // config.d_model),
    }
    for name, (size, most) in sizes.items():
        if size > most:
            raise UserError(
                f"{what}: its config asks for {name} = {size}, "
                f"more than its {n_tensors} tensors with {n_numbers} numbers can hold"
            )
    width = {"rope": config.rotary_dim, "none": 0, "alibi": 0}
    if config.max_tokens * width.get(config.positions.kind, config.d_model) > MOST_TABLE_NUMBERS:
        raise UserError(
            f"{what}: a context of {config.max_tokens} tokens needs a table of positions above "
            "the limit of this program; lower it in the config"
        )
    with without_numbers():
        return Transformer(config)


def refuse_layers(n_layers: int, what: str) -> None:
    """Raise ``UserError`` for a number of layers that no model has, before any is made."""
    if n_layers > MOST_LAYERS:
        raise UserError(
            f"{what}: its config asks for n_layers = {n_layers}; {MOST_LAYERS} are the limit"
        )


def fill(
    model: Transformer,
    tensors: Iterable[tuple[str, Tensor]],
    what: str,
    dtype: torch.dtype = torch.float32,
) -> Transformer:
    """Put ``tensors`` into a ``skeleton``, one at a time, and return it in evaluation mode.

    Floating-point weights are converted to ``dtype``; a weight that has it already is used without
    a copy.

    Raises:
        UserError: as in ``build``.
    """
    expected = dict(model.named_parameters())
    missing = set(expected)
    for name, tensor in tensors:
        if name not in expected:
            raise UserError(f"{what}: the model that its config describes has no tensor {name}")
        if name not in missing:
            raise UserError(f"{what}: tensor {name} occurs twice")
        if tensor.shape != expected[name].shape:
            raise UserError(
                f"{what}: tensor {name} has shape {tuple(tensor.shape)} "
                f"instead of {tuple(expected[name].shape)}"
            )
        missing.remove(name)
        module = model.get_submodule(name.rpartition(".")[0])
        # The bias for the choice of experts is added to scores, which are always float32.
        kept = torch.float32 if name.endswith("router.balance") else dtype
        weight = tensor.to(kept)
        if not is_finite([weight]):
            too_large = f", or is too large for {kept}" if is_finite([tensor]) else ""
            raise UserError(
                f"{what}: tensor {name} holds a number that is NaN or infinite{too_large}: the "
                "file is damaged, or its model diverged in training"
            )
        parameter = nn.Parameter(weight, requires_grad=expected[name].requires_grad)
        setattr(module, name.rpartition(".")[2], parameter)
    if missing:
        first = next(name for name in expected if name in missing)
        others = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise UserError(f"{what}: tensor {first}{others} is missing")
    model.tie()
    for module in model.modules():  # tables of positions: as if the model had been made in dtype
        for name, buffer in module.named_buffers(recurse=False):
            if buffer.is_floating_point():
                setattr(module, name, buffer.to(dtype))
    return model.eval()
