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
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from glassmind.errors import UserError
from glassmind.files import atomic_folder, write_json
from glassmind.interop.huggingface import FAMILIES, choose_family, refuse_taken
from glassmind.interop.huggingface.family import Family
from glassmind.interop.huggingface.json_fields import read_fields, shown
from glassmind.interop.huggingface.safetensors_file import read_header, read_tensor, write_file
from glassmind.interop.huggingface.tensor_names import Binding, bind
from glassmind.interop.huggingface.transforms import Same, Transposed, Unpaired
from glassmind.model import Transformer

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_PREFIX = "base_model.model."
_LAYERWISE = (Same, Transposed, Unpaired)  # with these, one matrix of theirs is one of ours
_PATTERNS = ("rank_pattern", "alpha_pattern", "modules_to_save", "layer_replication")

Factors = Mapping[str, tuple[Tensor, Tensor]]
"""A (r, in) and B (out, r) by the name of the layer, such as ``blocks.0.attention.query``."""


@dataclass(frozen=True)
class Adapter:
    """A low-rank change of a model: ``weight + scale · B A`` for each layer of ``factors``."""

    factors: Factors
    rank: int
    alpha: float
    rank_stabilized: bool = False
    dropout: float = 0.0

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
    fields = read_fields(folder / CONFIG)
    if fields.word("peft_type") != "LORA":
        raise fields.wrong("peft_type", "is not LORA, the only kind of adapter that is supported")
    for name in ("use_dora", "use_qalora", "lora_bias"):
        if fields.flag(name, False):
            raise fields.wrong(name, "is not supported: give an adapter that is plain LoRA")
    if fields.word("bias", "none") != "none":
        raise fields.wrong("bias", "is not supported: an adapter may change matrices only")
    for name in _PATTERNS:
        if fields.members.get(name):
            raise fields.wrong(name, "is not supported: all layers must have the same settings")
    rank = fields.size("r")
    if not (folder / WEIGHTS).is_file():
        raise UserError(f"{folder} has no {WEIGHTS}; other formats of adapters are not supported")
    if not 1 <= rank <= model.config.d_model * model.config.vocab_size:
        raise fields.wrong("r", "must be at least 1")
    chosen = _family_of(model, folder, family)
    return Adapter(
        factors=_read_factors(folder / WEIGHTS, model, chosen, rank),
        rank=rank,
        alpha=fields.number("lora_alpha"),
        rank_stabilized=fields.flag("use_rslora", False),
        dropout=fields.number("lora_dropout", 0.0),
    )


@torch.no_grad()
def apply_adapter(model: Transformer, adapter: Adapter) -> None:
    """Add the adapter's change to the weights of ``model`` permanently."""
    for name, (a, b) in adapter.factors.items():
        weight = model.get_parameter(f"{name}.weight")
        weight.add_((b @ a).to(weight), alpha=adapter.scale)


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
    with torch.device("meta"):
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


def _read_factors(path: Path, model: Transformer, family: Family, rank: int) -> Factors:
    stored = read_header(path)
    bindings = _by_layer(model, family)
    by_theirs = {binding.theirs[0]: name for name, binding in bindings.items()}
    found: dict[str, dict[str, Tensor]] = {}
    for key, tensor in stored.items():
        inner = key.removeprefix(_PREFIX)
        theirs, dot, which = inner.removesuffix(".weight").rpartition(".lora_")
        name = by_theirs.get(f"{theirs}.weight")
        if not dot or which not in ("A", "B") or name is None:
            raise UserError(
                f"{path}: tensor {shown(key)} is for another model: this one, of type "
                f"{family.model_type}, has no such layer"
            )
        _layerwise(bindings, name, family)
        weight = model.get_parameter(f"{name}.weight")
        expected = (rank, weight.shape[1]) if which == "A" else (weight.shape[0], rank)
        if tensor.shape != expected:
            raise UserError(
                f"{path}: tensor {shown(key)} is for another model: it has shape {tensor.shape} "
                f"instead of {expected}"
            )
        found.setdefault(name, {})[which] = read_tensor(tensor).float()
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
    return factors
