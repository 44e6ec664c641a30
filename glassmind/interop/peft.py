"""Reads and writes LoRA adapters in the format of Hugging Face's library ``peft``.

An adapter is a folder, separate from the model that it changes::

    adapter_config.json          rank, alpha, which layers
    adapter_model.safetensors    base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight …

Its names are those of the model in Hugging Face's layout, so translating them needs the model's
family. As here, a layer's change is scale · B A; if the family orders the rows of a matrix
differently, the rows of B are reordered. A family that has several of our layers in one matrix
(GPT-2's query, key and value) has one pair of factors for them: such an adapter is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from glassmind.errors import UserError
from glassmind.files import atomic_folder, write_json
from glassmind.interop.huggingface import FAMILIES, choose_family, refuse_taken
from glassmind.interop.huggingface.family import Family
from glassmind.interop.huggingface.json_fields import shown
from glassmind.interop.huggingface.safetensors_file import (
    StoredTensor,
    read_header,
    read_tensor,
    write_file,
)
from glassmind.interop.huggingface.tensor_names import Binding, bind
from glassmind.interop.huggingface.transforms import Same, Transposed, Unpaired
from glassmind.interop.peft_config import CONFIG, Initialisation, read_adapter_config
from glassmind.model import Transformer
from glassmind.model.finite import require_finite
from glassmind.model.outline import without_numbers

WEIGHTS = "adapter_model.safetensors"
_PREFIX = "base_model.model."
_BASE = ".base_layer.weight"
_LAYERWISE = (Same, Transposed, Unpaired)  # with these, one matrix of theirs is one of ours

Factors = Mapping[str, tuple[Tensor, Tensor]]
"""A (r, in) and B (out, r) by the name of the layer, such as ``blocks.0.attention.query``."""


@dataclass(frozen=True)
class Adapter:
    """A low-rank change of a model: ``weight + scale · B A`` for each layer of ``factors``.

    For some kinds of ``initialisation`` the weight is what was left of it when the first factors
    had been taken out. ``bases`` are weights that the adapter brings along, by the layer's name.
    """

    factors: Factors
    rank: int
    alpha: float
    rank_stabilized: bool = False
    dropout: float = 0.0
    initialisation: Initialisation = "plain"
    bases: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def scale(self) -> float:
        return self.alpha / (self.rank**0.5 if self.rank_stabilized else self.rank)


def save_adapter(
    adapter: Adapter, model: Transformer, path: str | Path, *, base: str, family: str | None = None
) -> str:
    """Write an adapter that ``peft`` loads onto ``model`` as ``save_folder`` writes it.

    ``base`` is the path or name of that model, ``family`` its ``model_type`` (by default the one
    that ``save_folder`` chooses), which is returned. Only the names and shapes of ``model`` matter.

    Raises:
        UserError: there is something at ``path``, or the family has no such layers.
    """
    folder = Path(path)
    chosen = choose_family(model.config, family)
    bindings = _by_layer(model, chosen)
    tensors: dict[str, Tensor] = {}
    for name, (a, b) in sorted(adapter.factors.items()):
        binding = _layerwise(bindings, name, chosen)
        theirs = binding.theirs[0].removesuffix(".weight")
        # Reordering the rows of a matrix reorders those of B; transposing changes no factors.
        if isinstance(binding.how, Unpaired):
            (b,) = binding.how.save([b], model.config)
        tensors[f"{_PREFIX}{theirs}.lora_A.weight"] = a.float()
        tensors[f"{_PREFIX}{theirs}.lora_B.weight"] = b.float()
    transposed = {isinstance(bindings[name].how, Transposed) for name in adapter.factors}
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": adapter.rank,
        "lora_alpha": adapter.alpha,
        "lora_dropout": adapter.dropout,
        "use_rslora": adapter.rank_stabilized,
        "target_modules": _targets(bindings, adapter.factors),
        "fan_in_fan_out": transposed == {True},
        "bias": "none",
        "inference_mode": True,
    }
    refuse_taken(folder)
    with atomic_folder(folder) as temporary:
        outlines = [(name, tensor.dtype, tensor.shape) for name, tensor in tensors.items()]
        write_file(temporary / WEIGHTS, outlines, tensors.values())
        write_json(temporary / CONFIG, config)
    return chosen.model_type


def load_adapter(path: str | Path, model: Transformer, family: str | None = None) -> Adapter:
    """Read an adapter for ``model``, written by this package or by ``peft``.

    ``family`` is the ``model_type`` of the folder that it was trained on, by default the one that
    ``save_folder`` chooses.

    Raises:
        UserError: a file is missing or damaged; it is not a LoRA adapter, or of a kind that is not
            supported; its layers are not those of ``model``.
    """
    folder = Path(path)
    config = read_adapter_config(folder)
    if not (folder / WEIGHTS).is_file():
        raise UserError(f"{folder} has no {WEIGHTS}; other formats of adapters are not supported")
    if not 1 <= config.rank <= model.config.d_model * model.config.vocab_size:
        raise UserError(f"{folder / CONFIG}: r ({config.rank}) must be at least 1")
    chosen = _family_of(model, folder, family)
    factors, bases = _read_factors(folder / WEIGHTS, model, chosen, config.rank)
    if config.initialisation == "olora":
        _refuse_transposed(factors, model, chosen, folder)
    return Adapter(
        factors=factors,
        rank=config.rank,
        alpha=config.alpha,
        rank_stabilized=config.rank_stabilized,
        dropout=config.dropout,
        initialisation=config.initialisation,
        bases=bases,
    )


@torch.no_grad()
def apply_adapter(model: Transformer, adapter: Adapter) -> None:
    """Add the adapter's change to the weights of ``model`` permanently."""
    for name, base in adapter.bases.items():
        model.get_parameter(f"{name}.weight").copy_(base)
    for name, (a, b) in adapter.factors.items():
        weight = model.get_parameter(f"{name}.weight")
        if adapter.initialisation != "plain" and name not in adapter.bases:
            weight.copy_(weight.float() - _taken_out(weight.float(), adapter))
        weight.add_((b @ a).to(weight), alpha=adapter.scale)


def _taken_out(weight: Tensor, adapter: Adapter) -> Tensor:
    """What the adapter's first factors took out of the base weight, (out, in).

    The order of the rows does not matter: if they are in another order than theirs, so are those of
    what was taken out.
    """
    if adapter.initialisation == "pissa":  # the largest singular values (2404.02948)
        u, s, vh = torch.linalg.svd(weight, full_matrices=False)
        r = adapter.rank
        return (u[:, :r] * s[:r]) @ vh[:r]
    q, upper = torch.linalg.qr(weight)  # OLoRA (2406.01775) forgets to divide by the scale
    return q[:, : adapter.rank] @ upper[: adapter.rank] * adapter.scale


def _refuse_transposed(factors: Factors, model: Transformer, family: Family, folder: Path) -> None:
    """Raise ``UserError`` where OLoRA was made from matrices that lie the other way round."""
    bindings = _by_layer(model, family)
    if any(isinstance(bindings[name].how, Transposed) for name in factors):
        raise UserError(
            f"{folder / CONFIG}: init_lora_weights (olora) is not supported for a model of type "
            f"{family.model_type}, whose matrices are stored transposed"
        )


def _family_of(model: Transformer, folder: Path, name: str | None) -> Family:
    if name is None:
        return choose_family(model.config)
    if name not in FAMILIES:
        raise UserError(f"{folder}: {shown(name)} is not a known family")
    return FAMILIES[name]


def _by_layer(model: Transformer, family: Family) -> dict[str, Binding]:
    """The binding of each of our layers' weight to theirs, by the layer's name."""
    config = model.config
    bindings = bind(
        _plain_names(model),
        family.layouts(config)[0],
        family.prefixes[0],
        config.experts.n_experts,
    )
    return {
        ours.removesuffix(".weight"): binding
        for binding in bindings
        for ours in binding.ours
        if ours.endswith(".weight")
    }


def _plain_names(model: Transformer) -> list[str]:
    """The parameters that a model of this config has, whatever its layers are wrapped in now."""
    with without_numbers():
        return [name for name, _ in Transformer(model.config).named_parameters()]


def _layerwise(bindings: Mapping[str, Binding], name: str, family: Family) -> Binding:
    binding = bindings[name]
    if len(binding.theirs) != 1 or not isinstance(binding.how, _LAYERWISE):
        raise UserError(
            f"a model of type {family.model_type} has {name} and others in one matrix, for which "
            "an adapter has only one pair of factors: merge the adapter and convert to hf"
        )
    return binding


def _targets(bindings: Mapping[str, Binding], factors: Factors) -> list[str]:
    """``peft``'s ``target_modules``: the last parts of the names of the layers with factors, or, if
    not all layers with such a name have factors, the full names."""
    whole: dict[str, set[str]] = {}
    for name, binding in bindings.items():
        for theirs in binding.theirs:
            layer = theirs.removesuffix(".weight")
            whole.setdefault(layer.rpartition(".")[2], set()).add(layer if name in factors else "")
    words: set[str] = set()
    for last, layers in whole.items():
        words.update({last} if "" not in layers else layers - {""})
    return sorted(words)


def _why_not(inner: str, which: str, model: Transformer, family: Family) -> str:
    """Why a tensor of an adapter cannot be used: what follows its name in a sentence."""
    if inner.startswith("lm_head") and model.config.tie_embeddings:
        return (
            "changes the output layer alone, and in this model that is the embedding itself: "
            "merged, the adapter would change both"
        )
    if which in ("embedding_A", "embedding_B"):
        return "changes the embedding: only adapters of linear layers are read here"
    if which not in ("A", "B"):
        return "is no factor of plain LoRA: an adapter may change matrices only"
    return f"is for another model: this one, of type {family.model_type}, has no such layer"


def _read_factors(
    path: Path, model: Transformer, family: Family, rank: int
) -> tuple[Factors, dict[str, Tensor]]:
    """The factors, and the base weights that stand beside them: ``peft`` stores those of the
    embedding and the output layer where it changes one of them."""
    stored = read_header(path)
    bindings = _by_layer(model, family)
    by_theirs = {binding.theirs[0]: name for name, binding in bindings.items()}
    found: dict[str, dict[str, Tensor]] = {}
    bases: dict[str, Tensor] = {}
    for key, tensor in stored.items():
        inner = key.removeprefix(_PREFIX)
        base = by_theirs.get(inner.replace(_BASE, ".weight"))
        if base is not None:
            bases[base] = _base_weight(path, tensor, bindings[base], model, base)
            continue
        theirs, dot, which = inner.removesuffix(".weight").rpartition(".lora_")
        name = by_theirs.get(f"{theirs}.weight")
        if not dot or which not in ("A", "B") or name is None:
            raise UserError(f"{path}: tensor {shown(key)} {_why_not(inner, which, model, family)}")
        _layerwise(bindings, name, family)
        weight = model.get_parameter(f"{name}.weight")
        expected = (rank, weight.shape[1]) if which == "A" else (weight.shape[0], rank)
        if tensor.shape != expected:
            raise UserError(
                f"{path}: tensor {shown(key)} is for another model: it has shape {tensor.shape} "
                f"instead of {expected}"
            )
        factor = read_tensor(tensor).float()
        require_finite([factor], f"{path}: tensor {shown(key)}")
        found.setdefault(name, {})[which] = factor
    factors: dict[str, tuple[Tensor, Tensor]] = {}
    for name, pair in found.items():
        if len(pair) != 2:
            missing = "B" if "A" in pair else "A"
            raise UserError(f"{path}: {name} has no factor {missing}")
        how = bindings[name].how
        b = how.load([pair["B"]], model.config)[0] if isinstance(how, Unpaired) else pair["B"]
        factors[name] = (pair["A"], b)
    if not factors:
        raise UserError(f"{path} holds no factors")
    return factors, bases


def _base_weight(
    path: Path, tensor: StoredTensor, binding: Binding, model: Transformer, name: str
) -> Tensor:
    (loaded,) = binding.how.load([read_tensor(tensor).float()], model.config)
    expected = model.get_parameter(f"{name}.weight").shape
    if loaded.shape != expected:
        raise UserError(
            f"{path}: the weight of {name} is for another model: it has shape "
            f"{tuple(loaded.shape)} instead of {tuple(expected)}"
        )
    return loaded
