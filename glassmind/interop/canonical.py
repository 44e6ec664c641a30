"""Two configs that describe the same model, made equal.

A ``ModelConfig`` has values that stand for a default (``head_dim`` 0) and values that have no
effect in combination with others (``rope_theta`` of a model without RoPE). Other formats may write
such values out or omit them. Before two configs are compared, both are converted to one form.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeAlias, TypeVar

from glassmind.model import (
    ExpertsConfig,
    LatentConfig,
    ModelConfig,
    PositionConfig,
    RopeScaling,
)
from glassmind.model.config import StepPositions

T = TypeVar("T")

FlatConfig: TypeAlias = dict[str, Any]
"""The values of a ``ModelConfig`` by dotted name; ``assemble`` turns them into a config."""

_SCALING_FIELDS: dict[str, tuple[str, ...]] = {
    "none": (),
    "linear": ("factor",),
    "llama3": ("factor", "original_tokens", "low_frequency", "high_frequency"),
    "yarn": (
        *("factor", "original_tokens", "beta_fast", "beta_slow"),
        *("sharpness", "sharpness_all", "whole_dims"),
    ),
}


def canonical(config: ModelConfig) -> ModelConfig:
    """``config`` with every default written out and every value without effect at its default."""
    attention, experts = config.attention, config.experts
    n_dense = min(experts.n_dense_layers, config.n_layers) if experts.n_experts else config.n_layers
    windowed = [config.layer(index).window > 0 for index in range(config.n_layers)]
    latent = attention.latent
    usual_scale = math.isclose(attention.scale, config.head_dim**-0.5, rel_tol=1e-9)
    attention = replace(
        attention,
        n_kv_heads=config.n_kv_heads,
        head_dim=0 if latent.kv_rank else config.head_dim,
        qk_norm_over=attention.qk_norm_over if attention.qk_norm else "head",
        window=attention.window if any(windowed) else 0,
        global_every=0 if all(windowed) or not any(windowed) else attention.global_every,
        scale=0.0 if usual_scale else attention.scale,
        latent=latent if latent.kv_rank else LatentConfig(),
    )
    if experts.n_groups == 1:
        experts = replace(experts, n_active_groups=1)
    # Random gaps are for training only, and kinds of tokens for models that read steps.
    reasoning = config.reasoning
    places: StepPositions = "plain" if reasoning.positions == "random" else reasoning.positions
    reasoning = replace(reasoning, positions=places, token_kinds="")
    experts = replace(experts, n_dense_layers=n_dense) if experts.n_experts else ExpertsConfig()
    return replace(
        config,
        attention=attention,
        positions=_positions(config, any(windowed)),
        feed_forward=replace(config.feed_forward, d_hidden=config.d_hidden if n_dense else 0),
        experts=experts,
        reasoning=reasoning,
    )


def _positions(config: ModelConfig, windowed: bool) -> PositionConfig:
    positions, scaling = config.positions, config.positions.scaling
    if positions.kind != "rope":
        return PositionConfig(positions.kind)
    kept = {name: getattr(scaling, name) for name in _SCALING_FIELDS[scaling.kind]}
    only_the_ratio_counts = scaling.kind == "yarn" and not config.attention.latent.kv_rank
    if only_the_ratio_counts and not (scaling.sharpness and scaling.sharpness_all):
        kept |= {"sharpness": 0.0, "sharpness_all": 0.0}
    return replace(
        positions,
        local_theta=(positions.local_theta or positions.rope_theta) if windowed else 0.0,
        nope_every=positions.nope_every if positions.nope_every <= config.n_layers else 0,
        scaling=RopeScaling(kind=scaling.kind, **kept),
    )


def flat(config: Any, prefix: str = "") -> FlatConfig:
    """A config's values by dotted name: ``{"d_model": 128, "attention.n_heads": 4, …}``."""
    values: FlatConfig = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            values |= flat(value, f"{prefix}{field.name}.")
        else:
            values[prefix + field.name] = value
    return values


def assemble(cls: type[T], values: Mapping[str, Any], prefix: str = "") -> T:
    """The dataclass ``cls`` with ``values`` by dotted name; the rest keeps its defaults.

    Raises:
        ValueError: the dataclass refuses the values.
    """
    given: FlatConfig = {}
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]
        name = prefix + field.name
        if name in values:
            given[field.name] = values[name]
        elif isinstance(field.default_factory, type):  # a nested table
            given[field.name] = assemble(field.default_factory, values, f"{name}.")
    return cls(**given)


def differences(a: ModelConfig, b: ModelConfig) -> list[tuple[str, Any, Any]]:
    """The values in which two configs describe different models: (dotted name, in a, in b)."""
    values, others = flat(canonical(a)), flat(canonical(b))
    return [
        (name, value, others[name])
        for name, value in values.items()
        if value != others[name] and not _close(value, others[name])
    ]


def _close(a: object, b: object) -> bool:
    return isinstance(a, float) and isinstance(b, float) and math.isclose(a, b, rel_tol=1e-9)
