"""``adapter_config.json`` of Hugging Face's library ``peft``: what kind of LoRA an adapter is.

The library has many kinds, and most of them are one word in this file beside the same two factors.
Some change what is computed: weights with a magnitude of their own, a change that begins at a
certain token. Some change the *base*: PiSSA begins with the largest singular values of a matrix as
its factors and takes them out of it, so that its change is to be added to what is left. To read
past such a word is to compute something else, so every word that is not known here is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from glassmind.interop.huggingface.json_fields import Fields, read_fields

CONFIG = "adapter_config.json"

Initialisation = Literal["plain", "pissa", "olora"]

# What is read here, or says nothing about how the adapter computes.
_KNOWN = frozenset(
    {
        *("peft_type", "task_type", "auto_mapping", "peft_version", "base_model_name_or_path"),
        *("revision", "inference_mode", "target_modules", "exclude_modules", "fan_in_fan_out"),
        *("layers_to_transform", "layers_pattern", "r", "lora_alpha", "lora_dropout", "bias"),
        *("use_rslora", "init_lora_weights", "megatron_core", "runtime_config"),
        *("qalora_group_size", "eva_config", "corda_config", "loftq_config", "lora_ga_config"),
    }
)
_REASONS = {
    "use_dora": "the weights have magnitudes of their own (DoRA)",
    "alora_invocation_tokens": "it begins at certain tokens of a text, and a merged one cannot",
    "rank_pattern": "all layers must have the same settings",
    "alpha_pattern": "all layers must have the same settings",
    "modules_to_save": "an adapter may change matrices only, not replace layers",
    "trainable_token_indices": "an adapter may change matrices only, not embeddings of tokens",
    "layer_replication": "it makes layers that the model does not have",
}

# How the factors began. In use they are what they have become, except where the base was changed.
_PLAIN = frozenset({"true", "false", "none", "gaussian", "eva", "orthogonal", "mica"})
_CHANGES_THE_BASE = {
    "corda": "they are made from a sample of data that is not in the folder",
    "loftq": "the base model is quantized with them",
    "lora_ga": "they are made from gradients that are not in the folder",
    "pissa_niter": "they are found with random numbers, differently each time",
}


@dataclass(frozen=True)
class AdapterConfig:
    """How the two factors of a layer become its change; see ``Adapter``."""

    rank: int
    alpha: float
    rank_stabilized: bool
    dropout: float
    initialisation: Initialisation


def read_adapter_config(folder: Path) -> AdapterConfig:
    """What ``adapter_config.json`` says.

    Raises:
        UserError: it is missing or damaged, or says something that is not computed here.
    """
    fields = read_fields(folder / CONFIG)
    if fields.word("peft_type") != "LORA":
        raise fields.wrong("peft_type", "is not LORA, the only kind of adapter that is supported")
    if fields.word("bias", "none") != "none":
        raise fields.wrong("bias", "is not supported: an adapter may change matrices only")
    for name, value in fields.members.items():
        if value and name not in _KNOWN:
            reason = _REASONS.get(name, "give an adapter that is plain LoRA")
            raise fields.wrong(name, f"is not supported: {reason}")
    return AdapterConfig(
        rank=fields.size("r"),
        alpha=fields.number("lora_alpha"),
        rank_stabilized=fields.flag("use_rslora", False),
        dropout=fields.number("lora_dropout", 0.0),
        initialisation=_initialisation(fields),
    )


def _initialisation(fields: Fields) -> Initialisation:
    word = str(fields.members.get("init_lora_weights", True)).lower()
    if word == "pissa":
        return "pissa"
    if word == "olora":
        return "olora"
    if word in _PLAIN:
        return "plain"
    kind = next((kind for kind in _CHANGES_THE_BASE if word.startswith(kind)), None)
    reason = "is not known here" if kind is None else "is not supported: its factors were taken out"
    if kind is not None:
        reason += (
            f" of the base model's weights, and {_CHANGES_THE_BASE[kind]}; save it with "
            "path_initial_model_for_weight_conversion, which makes it plain LoRA"
        )
    raise fields.wrong("init_lora_weights", reason)
