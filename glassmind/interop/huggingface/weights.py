"""Finds the tensors of a folder, matches them with a model's parameters, and loads them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from glassmind.errors import UserError
from glassmind.interop.building import fill, outline
from glassmind.interop.huggingface.family import Family
from glassmind.interop.huggingface.json_fields import read_fields, shown
from glassmind.interop.huggingface.safetensors_file import StoredTensor, read_header, read_tensor
from glassmind.interop.huggingface.tensor_names import Binding, bind
from glassmind.model import ModelConfig, Transformer

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


def find_tensors(folder: Path) -> dict[str, StoredTensor]:
    """Every tensor of the folder's safetensors files, by name.

    Raises:
        UserError: there are none, or only pickles; a file is missing or damaged; a tensor is not
            in the file that the index names, or occurs twice.
    """
    if (folder / WEIGHTS).is_file():
        return read_header(folder / WEIGHTS)
    if not (folder / INDEX).is_file():
        raise _no_weights(folder)
    index = read_fields(folder / INDEX)
    places = index.table("weight_map")
    tensors: dict[str, StoredTensor] = {}
    for name in sorted({places.word(tensor) for tensor in places.members}):
        if Path(name).name != name or not name.endswith(".safetensors") or "\\" in name:
            raise UserError(
                f"{folder / INDEX}: {shown(name)} must name a .safetensors file in its folder"
            )
        found = read_header(folder / name)
        twice = next(iter(found.keys() & tensors.keys()), None)
        if twice is not None:
            raise UserError(f"{folder / name}: tensor {shown(twice)} is in another file as well")
        tensors |= found
    for tensor in places.members:
        name = places.word(tensor)
        if tensor not in tensors or tensors[tensor].file.name != name:
            raise UserError(f"{folder / name}: tensor {shown(tensor)} is missing")
    return tensors


def refuse_pickle(path: Path) -> UserError:
    """The error for a pickle: why it is not read, and what to do instead."""
    folder = path.parent.absolute()
    return UserError(
        f"{path} is a pickle, which can run any program when it is opened, and is never read here; "
        "convert it, where you trust it, with the library transformers: python -c "
        f"\"from transformers import AutoModelForCausalLM as M; M.from_pretrained('{folder}')"
        f".save_pretrained('{folder}-safe')\""
    )


def _no_weights(folder: Path) -> UserError:
    pickles = sorted(path for path in folder.iterdir() if path.suffix in PICKLES)
    if pickles:
        return refuse_pickle(pickles[0])
    return UserError(f"{folder} has no weights: neither {WEIGHTS} nor {INDEX} is there")


@dataclass(frozen=True)
class _Plan:
    """How the tensors of a folder are converted to a model's."""

    bindings: list[Binding]
    shapes: dict[str, torch.Size]  # of their tensors


def load_weights(
    config: ModelConfig, family: Family, folder: Path, dtype: torch.dtype
) -> Transformer:
    """The model of ``config`` with the weights in ``folder``.

    Raises:
        UserError: a tensor is missing, unknown, or of the wrong shape or dtype.
    """
    stored = find_tensors(folder)
    what = str(folder)
    counts = {
        "n_tensors": len(stored),
        "n_numbers": sum(torch.Size(tensor.shape).numel() for tensor in stored.values()),
    }
    model = outline(config, what, **counts)
    plan, prefix = _best_plan(model, family, stored)
    ignored = "|".join(family.ignored(config))
    output = _output_name(family, config, prefix)
    if config.tie_embeddings and output in stored:
        # A file may have both matrices. As in transformers, they are tied only if they are equal.
        (embedding,) = next(b.theirs for b in plan.bindings if b.ours == ("embed.weight",))
        if embedding not in stored or _equal(stored[embedding], stored[output]):
            ignored = "|".join(filter(None, (ignored, re.escape(output))))
        else:
            config = replace(config, tie_embeddings=False)
            model = outline(config, what, **counts)
            plan, _ = _best_plan(model, family, stored)
    _check(plan, stored, ignored, what)
    return fill(model, _stream(plan.bindings, stored, config, dtype), what, dtype)


def _best_plan(
    model: Transformer, family: Family, stored: Mapping[str, StoredTensor]
) -> tuple[_Plan, str]:
    """The layout and prefix with the fewest tensors missing, and that prefix."""
    config = model.config
    parameters = dict(model.named_parameters())
    best: tuple[int, _Plan, str] | None = None
    for prefix in family.prefixes:
        for table in family.layouts(config):
            bindings = bind(parameters, table, prefix, config.experts.n_experts)
            names = {name for binding in bindings for name in binding.theirs}
            missing = len(names - stored.keys())
            if best is None or missing < best[0]:
                best = missing, _Plan(bindings, shapes_of(bindings, parameters, config)), prefix
    assert best is not None  # every family has a prefix and a layout
    return best[1], best[2]


def shapes_of(
    bindings: Iterable[Binding], parameters: Mapping[str, Tensor], config: ModelConfig
) -> dict[str, torch.Size]:
    """The shapes of their tensors, found by converting ours without data."""
    shapes: dict[str, torch.Size] = {}
    for binding in bindings:
        ours = [torch.empty_like(parameters[name], device="meta") for name in binding.ours]
        theirs = binding.how.save(ours, config)
        shapes |= {name: tensor.shape for name, tensor in zip(binding.theirs, theirs, strict=True)}
    return shapes


def _output_name(family: Family, config: ModelConfig, prefix: str) -> str:
    table = family.layouts(config)[0]
    return bind(["unembed.weight"], table, prefix, 0)[0].theirs[0]


def _equal(a: StoredTensor, b: StoredTensor) -> bool:
    return (a.dtype, a.shape) == (b.dtype, b.shape) and torch.equal(read_tensor(a), read_tensor(b))


def _check(plan: _Plan, stored: Mapping[str, StoredTensor], ignored: str, what: str) -> None:
    """Check, before any is read, that all tensors exist with the right shape, and no others."""
    missing = [name for name in plan.shapes if name not in stored]
    if missing:
        others = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise UserError(f"{what}: tensor {missing[0]}{others} is missing")
    for name, shape in plan.shapes.items():
        if stored[name].shape != tuple(shape):
            raise UserError(
                f"{stored[name].file}: tensor {name} has shape {list(stored[name].shape)}, and "
                f"config.json makes it {list(shape)}"
            )
    for name, tensor in stored.items():
        if name not in plan.shapes and not (ignored and re.fullmatch(ignored, name)):
            raise UserError(
                f"{tensor.file}: the model that config.json describes has no tensor {shown(name)}"
            )


def _stream(
    bindings: Iterable[Binding],
    stored: Mapping[str, StoredTensor],
    config: ModelConfig,
    dtype: torch.dtype,
) -> Iterator[tuple[str, Tensor]]:
    for binding in bindings:
        theirs = [read_tensor(stored[name], dtype) for name in binding.theirs]
        yield from zip(binding.ours, binding.how.load(theirs, config), strict=True)
