"""The list of what the compiled pass supports.

``kernels/decoder.hpp`` implements one kind of decoder. Everything it can do is listed here, by
config value and by type of module; a model with anything else keeps its modules. So a value that is
added to ``ModelConfig`` later, a new kind of attention, an adapter around a linear layer or a
replaced ``forward`` can make generation slower, never wrong. When the kernel learns to do something
new, add it here.

Hooks are not checked here, because they can be added and removed at any time: ``PackedModel``
checks them before every pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import MISSING, Field, fields, is_dataclass

from torch import nn

from glassmind.model import Tap, Transformer
from glassmind.model.attention import Attention
from glassmind.model.config import ModelConfig
from glassmind.model.feed_forward import ACTIVATIONS, FeedForward
from glassmind.model.positions import AbsolutePositions, AlibiBias, RotaryPositions
from glassmind.model.quantized import QuantizedLinear
from glassmind.model.transformer import Block

ANY = None

KNOWN_VALUES: dict[str, frozenset[object] | None] = {
    "vocab_size": ANY,
    "max_tokens": ANY,
    "d_model": ANY,
    "n_layers": ANY,
    "norm": frozenset({"rmsnorm", "layernorm"}),
    "norm_eps": ANY,
    "norm_placement": frozenset({"before", "after", "around"}),
    "final_norm": frozenset({True, False}),
    "tie_embeddings": frozenset({True, False}),
    "scale_embedding": frozenset({True, False}),
    "embedding_norm": frozenset({True, False}),
    "attention.n_heads": ANY,
    "attention.n_kv_heads": ANY,
    "attention.head_dim": ANY,
    "attention.qk_norm": frozenset({True, False}),
    "attention.qk_norm_over": frozenset({"head", "all"}),
    "attention.bias": frozenset({True, False}),
    "attention.output_bias": frozenset({True, False}),
    "attention.window": ANY,
    "attention.global_every": ANY,
    "attention.scale": ANY,
    "attention.latent.kv_rank": frozenset({0}),
    "positions.kind": frozenset({"learned", "sinusoidal", "rope", "alibi", "none"}),
    "positions.rope_theta": ANY,
    "positions.local_theta": ANY,
    "positions.nope_every": ANY,
    # Scaling only changes the tables of cosines and sines, which the model makes itself.
    "positions.scaling.kind": frozenset({"none", "linear", "llama3", "yarn"}),
    "positions.scaling.factor": ANY,
    "positions.scaling.original_tokens": ANY,
    "positions.scaling.low_frequency": ANY,
    "positions.scaling.high_frequency": ANY,
    "positions.scaling.beta_fast": ANY,
    "positions.scaling.beta_slow": ANY,
    "positions.scaling.sharpness": ANY,
    "positions.scaling.sharpness_all": ANY,
    "positions.scaling.whole_dims": ANY,
    "feed_forward.kind": frozenset({"relu", "relu2", "gelu", "swiglu", "geglu"}),
    "feed_forward.d_hidden": ANY,
    "feed_forward.bias": frozenset({True, False}),
    "experts.n_experts": frozenset({0}),
    # ``step_reading`` gives the pass its positions, and a cache without what the masks hide.
    "reasoning.mask": frozenset({"causal", "flow", "inductive"}),
    "reasoning.positions": frozenset({"plain", "restart", "random"}),
    "reasoning.step_bias": frozenset({False}),
    "reasoning.token_kinds": ANY,
}
"""By field of ``ModelConfig``, the values that the compiled pass supports. A field that is not
listed must have its default."""

KNOWN_MODULES: frozenset[type[nn.Module]] = frozenset(
    {
        Transformer,
        Block,
        Attention,
        FeedForward,
        AbsolutePositions,
        AlibiBias,
        RotaryPositions,
        Tap,
        nn.Embedding,
        nn.LayerNorm,
        nn.Linear,
        nn.ModuleList,
        nn.RMSNorm,
        QuantizedLinear,
    }
)
"""Exactly these types, no subclasses: PyTorch's parametrisations are subclasses made on the fly."""


def why_not(model: Transformer) -> str | None:
    """Why ``model`` cannot be packed, as the end of a sentence; ``None`` if it can be."""
    device = model.embed.weight.device.type
    if device != "cpu":
        return f"the model is on {device}, and the compiled pass runs on a CPU"
    for path, value, is_default in _leaves(model.config):
        known = KNOWN_VALUES.get(path)
        if path in KNOWN_VALUES:
            if known is not ANY and value not in known:
                return f"model.{path} is {value!r}, which the compiled pass does not support"
        elif not is_default and not _without_effect(path, model.config):
            return f"model.{path} is {value!r}, a setting that the compiled pass does not support"
    for name, module in model.named_modules():
        if type(module) not in KNOWN_MODULES:
            kind = type(module).__name__
            return f"{name} is a {kind}, which the compiled pass does not support (merge adapters)"
        if not _as_written(module, model.config):
            return f"{name or 'the model'} was modified after it was created"
    return None


def _leaves(config: object, path: str = "") -> Iterator[tuple[str, object, bool]]:
    """Every field of the config and its parts: path, value, and whether that is the default."""
    assert is_dataclass(config)
    for field in fields(config):
        value = getattr(config, field.name)
        if is_dataclass(value):
            yield from _leaves(value, f"{path}{field.name}.")
        else:
            yield path + field.name, value, value == _default(field)


def _default(field: Field[object]) -> object:
    if field.default_factory is not MISSING:
        return field.default_factory()
    return field.default


def _without_effect(path: str, config: ModelConfig) -> bool:
    """Whether a setting belongs to a part of the model that is switched off."""
    if path.startswith("experts."):
        return config.experts.n_experts == 0
    return path.startswith("attention.latent.") and config.attention.latent.kv_rank == 0


def _as_written(module: nn.Module, config: ModelConfig) -> bool:
    """Whether a module of a listed type still computes what its class defines."""
    if "forward" in vars(module):
        return False
    if isinstance(module, FeedForward):
        return module.activation is ACTIVATIONS[config.feed_forward.kind]
    if isinstance(module, nn.LayerNorm | nn.RMSNorm):
        return module.eps == config.norm_eps and module.weight is not None
    if isinstance(module, nn.Embedding):
        return module.max_norm is None
    return True
