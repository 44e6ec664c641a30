"""What changed from one model to another, value by value, and why.

``diff`` compares two configs and returns each changed value with the reason (``reasons.py``);
values that only give a model's size are separate (``sizes``). The predecessors are in
``published.py``.

Only values *in use* are compared. ``rope_theta`` has no effect on a model with learned positions,
so GPT-2 and BLOOM do not differ in it, whatever their dataclasses hold. A model that introduces
experts, however, lists all values of its experts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass

from glassmind.learn.architectures.reasons import REASONS, Paper, Reason
from glassmind.model.config import ModelConfig

Value = bool | int | float | str


# Fields of a model's size, not of its kind.
SIZES = (
    "vocab_size",
    "max_tokens",
    "d_model",
    "n_layers",
    "attention.n_heads",
    "feed_forward.d_hidden",
)


def _has_rope(config: ModelConfig) -> bool:
    return config.positions.kind == "rope"


def _stretches(*kinds: str) -> Callable[[ModelConfig], bool]:
    return lambda config: _has_rope(config) and config.positions.scaling.kind in kinds


def _has_latent(config: ModelConfig) -> bool:
    return config.attention.latent.kv_rank > 0


def _has_experts(config: ModelConfig) -> bool:
    return config.experts.n_experts > 0


# When a field, or all fields of a table without a line of their own, are in use.
_IN_USE: Mapping[str, Callable[[ModelConfig], bool]] = {
    "attention.n_kv_heads": lambda config: not _has_latent(config),
    "attention.head_dim": lambda config: not _has_latent(config),
    "attention.qk_norm": lambda config: not _has_latent(config),
    "attention.qk_norm_over": lambda config: config.attention.qk_norm,
    "attention.bias": lambda config: not _has_latent(config),
    "attention.global_every": lambda config: config.attention.window > 0,
    "attention.latent.kv_rank": lambda config: True,
    "attention.latent": _has_latent,
    "positions.rope_theta": _has_rope,
    "positions.local_theta": lambda config: _has_rope(config) and config.attention.window > 0,
    "positions.nope_every": _has_rope,
    "positions.scaling.kind": _has_rope,
    "positions.scaling.factor": _stretches("linear", "llama3", "yarn"),
    "positions.scaling.original_tokens": _stretches("llama3", "yarn"),
    "positions.scaling.low_frequency": _stretches("llama3"),
    "positions.scaling.high_frequency": _stretches("llama3"),
    "positions.scaling": _stretches("yarn"),
    "feed_forward.d_hidden": lambda config: (
        not _has_experts(config) or config.experts.n_dense_layers > 0
    ),
    "feed_forward.bias": lambda config: not _has_experts(config),
    "experts.n_experts": lambda config: True,
    "experts.n_active_groups": lambda config: _has_experts(config) and config.experts.n_groups > 1,
    "experts": _has_experts,
}

# The value that an unused field counts as, if it is not the default. ``None``: always listed.
_UNUSED: Mapping[str, Value | None] = {
    "attention.n_kv_heads": None,
    "attention.qk_norm": False,
    "attention.latent.content_dim": None,
    "attention.latent.rope_dim": None,
    "attention.latent.value_dim": None,
    "positions.rope_theta": None,
    "positions.scaling.factor": None,
    "positions.scaling.original_tokens": None,
    "experts.n_active": None,
    "experts.d_hidden": None,
    "experts.balance": None,
}


# The meaning of 0 where 0 is not "none".
_ZERO: Mapping[str, str] = {
    "vocab_size": "the tokenizer's",
    "attention.n_kv_heads": "all {config.n_kv_heads}",
    "attention.head_dim": "d_model / n_heads = {config.head_dim}",
    "attention.window": "none",
    "attention.global_every": "never",
    "attention.latent.kv_rank": "none",
    "attention.latent.q_rank": "none",
    "positions.local_theta": "as rope_theta",
    "positions.nope_every": "never",
    "feed_forward.d_hidden": "4 · d_model = {config.d_hidden}",
    "experts.n_experts": "none",
}


@dataclass(frozen=True)
class Change:
    """One changed value. ``before`` is ``None`` if the field was not in use before."""

    field: str
    before: Value | None
    after: Value
    why: str
    paper: Paper | None


@dataclass(frozen=True)
class SizeChange:
    """A value that only gives the model's size."""

    field: str
    before: Value
    after: Value


def flatten(config: ModelConfig) -> dict[str, Value]:
    """Every value of the config by its dotted name, in the order of the dataclasses."""
    return dict(_leaves(config, ""))


def in_use(config: ModelConfig) -> dict[str, Value]:
    """The values in use for this model, by dotted name."""
    return {name: value for name, value in flatten(config).items() if _condition(name)(config)}


def diff(a: ModelConfig, b: ModelConfig) -> list[Change]:
    """The changes from ``a`` to ``b`` without sizes, each with its reason.

    A field that ``b`` no longer uses is not listed: the field that switched it off is. ``why`` is
    empty only for a value that no preset has.
    """
    before, changes = in_use(a), []
    unused: dict[str, Value | None] = {**flatten(ModelConfig()), **_UNUSED}
    for field, after in in_use(b).items():
        old = before.get(field, unused[field])
        if field not in SIZES and old != after:
            reason = _reason(field, old, after)
            why, paper = (reason.why, reason.paper) if reason else ("", None)
            changes.append(Change(field, old, after, why, paper))
    return changes


def sizes(a: ModelConfig, b: ModelConfig) -> list[SizeChange]:
    """The sizes that differ between ``a`` and ``b``."""
    before, after = flatten(a), flatten(b)
    used = in_use(a).keys() & in_use(b).keys()
    return [
        SizeChange(field, before[field], after[field])
        for field in SIZES
        if field in used and before[field] != after[field]
    ]


def _leaves(record: object, prefix: str) -> list[tuple[str, Value]]:
    leaves: list[tuple[str, Value]] = []
    if not is_dataclass(record):
        raise TypeError(f"{prefix} is not a table")
    for field in fields(record):
        value = getattr(record, field.name)
        if is_dataclass(value):
            leaves += _leaves(value, f"{prefix}{field.name}.")
        else:
            leaves.append((prefix + field.name, value))
    return leaves


def _condition(field: str) -> Callable[[ModelConfig], bool]:
    """The condition of the field itself or of the nearest table around it that has one."""
    name = field
    while name and name not in _IN_USE:
        name = name.rpartition(".")[0]
    return _IN_USE.get(name, lambda config: True)


def written(value: Value) -> str:
    """The value as ``--set`` takes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def shown(config: ModelConfig, field: str) -> str:
    """The field's value for display: as written, and its meaning where it is 0."""
    value = flatten(config)[field]
    if isinstance(value, bool) or value != 0 or field not in _ZERO:
        return written(value)
    return f"0 ({_ZERO[field].format(config=config)})"


def _reason(field: str, before: Value | None, after: Value) -> Reason | None:
    reasons = REASONS.get(field, {})
    keys = [written(after)]
    if isinstance(before, (int, float)) and isinstance(after, (int, float)) and before:
        keys.append("more" if after > before else "less")
    keys.append("any")
    return next((reasons[key] for key in keys if key in reasons), None)
