"""The fields of config.json for RoPE, whose format has changed between versions.

Until version 4 of transformers they were ``rope_theta`` and an optional ``rope_scaling``; since
version 5 ``rope_parameters`` contains both, in some families once for each kind of layer. Both
formats are in use, so both are read and written.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from glassmind.errors import UserError
from glassmind.interop.huggingface.config_rules import Values
from glassmind.interop.huggingface.json_fields import Fields
from glassmind.model import ModelConfig, RopeScaling
from glassmind.model.positions import rope_gain

_OURS = "positions.scaling."
# Field of a scaling in config.json, and ours; by kind.
_NUMBERS: dict[str, dict[str, str]] = {
    "none": {},
    "linear": {"factor": "factor"},
    "llama3": {
        "factor": "factor",
        "low_freq_factor": "low_frequency",
        "high_freq_factor": "high_frequency",
    },
    "yarn": {
        "factor": "factor",
        "beta_fast": "beta_fast",
        "beta_slow": "beta_slow",
        "mscale": "sharpness",
        "mscale_all_dim": "sharpness_all",
    },
}
_OPTIONAL = {"beta_fast": 32.0, "beta_slow": 1.0, "mscale": 0.0, "mscale_all_dim": 0.0}
_TYPES = {"default": "none", "linear": "linear", "llama3": "llama3", "yarn": "yarn"}


@dataclass(frozen=True)
class Rope:
    """One RoPE for all layers.

    ``needed``: the field is required, because transformers' default is a stretched RoPE.
    """

    default_theta: float = 10_000.0
    needed: bool = False

    def read(self, fields: Fields) -> Values:
        if self.needed and not any(map(fields.has, ("rope_scaling", "rope_parameters"))):
            raise UserError(f"{fields.where}: rope_parameters is missing")
        name = "rope_scaling" if fields.members.get("rope_scaling") else "rope_parameters"
        table = fields.table(name)
        nested = next((key for key, value in table.members.items() if isinstance(value, dict)), "")
        if nested:
            raise table.wrong(nested, "is not supported: this model_type has one RoPE for all")
        return read_scaling(fields, table) | {
            "positions.rope_theta": read_theta(fields, table, self.default_theta)
        }

    def write(self, config: ModelConfig) -> Values:
        theta, scaling = config.positions.rope_theta, write_scaling(config.positions.scaling)
        return {
            "rope_theta": theta,
            "rope_scaling": scaling if len(scaling) > 1 else None,
            "rope_parameters": {**scaling, "rope_theta": theta},
        }


@dataclass(frozen=True)
class RopeByLayer:
    """One RoPE for layers that see everything, and a plain one for those with a window.

    ``local_name`` is version 4's field for the second theta (``None``: both had the same).
    """

    default_theta: float
    default_local_theta: float
    local_name: str | None = None

    def read(self, fields: Fields) -> Values:
        both = fields.table("rope_parameters")
        for name in both.members:
            if name not in ("full_attention", "sliding_attention"):
                raise both.wrong(name, "must be full_attention or sliding_attention here")
        everywhere, nearby = both.table("full_attention"), both.table("sliding_attention")
        older = fields.table("rope_scaling")
        if older.members:
            everywhere = Fields({**everywhere.members, **older.members}, older.where)
        if read_scaling(fields, nearby)[f"{_OURS}kind"] != "none":
            raise both.wrong("sliding_attention", "is not supported: it must be plain RoPE")
        values = read_scaling(fields, everywhere)
        if not values.get(f"{_OURS}whole_dims", True):
            raise everywhere.wrong("truncate", "has no effect for this model_type in transformers")
        local = Fields({**fields.members, "rope_theta": None}, fields.where)
        if self.local_name is None:
            local = fields
        elif fields.has(self.local_name):
            local_theta = fields.number(self.local_name)
            local = Fields({**fields.members, "rope_theta": local_theta}, fields.where)
        return values | {
            "positions.rope_theta": read_theta(fields, everywhere, self.default_theta),
            "positions.local_theta": read_theta(local, nearby, self.default_local_theta),
        }

    def write(self, config: ModelConfig) -> Values:
        positions = config.positions
        local_theta = positions.local_theta or positions.rope_theta
        scaling = write_scaling(positions.scaling)
        written: Values = {
            "rope_theta": positions.rope_theta,
            "rope_scaling": scaling if len(scaling) > 1 else None,
            "rope_parameters": {
                "full_attention": {**scaling, "rope_theta": positions.rope_theta},
                "sliding_attention": {"rope_type": "default", "rope_theta": local_theta},
            },
        }
        return written if self.local_name is None else written | {self.local_name: local_theta}


def read_theta(fields: Fields, table: Fields, default: float) -> float:
    """θ from the scaling's own table, else from config.json itself, else the family's default."""
    source = table if table.has("rope_theta") else fields
    theta = source.number("rope_theta") if source.has("rope_theta") else default
    if theta <= 1:
        raise source.wrong("rope_theta", "must be above 1")
    return theta


def read_scaling(fields: Fields, table: Fields) -> Values:
    """The values of ``RopeScaling`` that ``table`` describes; ``fields`` are all of config.json."""
    name = "rope_type" if table.has("rope_type") else "type"
    word = table.word(name, "default")
    if word not in _TYPES:
        raise table.wrong(name, f"is not supported; these are: {', '.join(_TYPES)}")
    for source in (fields, table):
        if source.has("partial_rotary_factor") and source.number("partial_rotary_factor") != 1:
            raise source.wrong("partial_rotary_factor", "must be 1: RoPE rotates whole heads here")
    kind = _TYPES[word]
    if kind != "yarn" and table.has("mscale_all_dim"):
        raise table.wrong("mscale_all_dim", "is not supported: it belongs to yarn")
    values: Values = {"kind": kind}
    if kind in ("llama3", "yarn"):
        longest = fields.size("max_position_embeddings")
        name = "original_max_position_embeddings"
        source = fields if fields.has(name) else table
        values["original_tokens"] = source.size(name) if source.has(name) else longest
    for theirs, ours in _NUMBERS[kind].items():
        if theirs in _OPTIONAL and not table.members.get(theirs):
            values[ours] = _OPTIONAL[theirs]
            continue
        values[ours] = table.number(theirs)
        if not values[ours] > 0:
            raise table.wrong(theirs, "must be above 0")
    if kind == "llama3" and values["low_frequency"] >= values["high_frequency"]:
        raise table.wrong("low_freq_factor", "must be below high_freq_factor")
    if kind == "yarn":
        values["whole_dims"] = table.flag("truncate", True)
    if table.has("attention_factor") and kind == "yarn":
        factor, gain = table.number("attention_factor"), rope_gain(RopeScaling(**values))
        if not math.isclose(factor, gain, rel_tol=1e-6):
            raise table.wrong("attention_factor", f"is not supported: it must be {gain:.6g} here")
    return {f"{_OURS}{name}": value for name, value in values.items()}


def write_scaling(scaling: RopeScaling) -> Values:
    """The fields of config.json for ``RopeScaling``: only ``rope_type`` if it is not stretched."""
    written: Values = {
        "rope_type": next(word for word, kind in _TYPES.items() if kind == scaling.kind)
    }
    for theirs, ours in _NUMBERS[scaling.kind].items():
        if value := getattr(scaling, ours):
            written[theirs] = value
    if scaling.kind in ("llama3", "yarn"):
        written["original_max_position_embeddings"] = scaling.original_tokens
    if scaling.kind == "yarn" and not scaling.whole_dims:
        written["truncate"] = False
    return written
