"""How the fields of a config.json and those of a ``ModelConfig`` translate, in both directions.

A family's translation is a list of rules, most of them one line of data:

    Field("hidden_size", "d_model")                       # the same number under another name
    Words("hidden_act", "feed_forward.kind", {"silu": "swiglu"})
    Always({"norm": "rmsnorm"})                           # what every model of the family has
    Only("attn_logit_softcapping", (None,))               # what we cannot compute

Families need not declare what they *cannot* express: every rule writes what it can, the result is
read back, and if the config is then different, the family cannot express it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

from glassmind.interop.canonical import FlatConfig, flat
from glassmind.interop.huggingface.json_fields import Fields
from glassmind.model import ModelConfig

Values: TypeAlias = FlatConfig  # a ModelConfig's values by dotted name, or those of a config.json

MOST_LAYERS = 10_000  # bounds lists of layers, which are made before the weights are checked


class Rule(Protocol):
    """One line of a family's translation."""

    def read(self, fields: Fields) -> Values:
        """The values of our config that these fields decide."""
        ...

    def write(self, config: ModelConfig) -> Values:
        """The fields that these values decide."""
        ...


@dataclass(frozen=True)
class Field:
    """A value under another name. ``default`` is what transformers assumes if the field is missing
    (``...``: it is required), ``null`` is our value for a null (``...``: a null is an error).
    """

    theirs: str
    ours: str
    default: Any = ...
    kind: Literal["size", "number", "flag"] = "size"
    aliases: tuple[str, ...] = ()
    null: Any = ...

    def read(self, fields: Fields) -> Values:
        names = (self.theirs, *self.aliases)
        name = next((name for name in names if name in fields.members), self.theirs)
        if self.null is not ... and fields.members.get(name, 0) is None:
            return {self.ours: self.null}
        getter: Callable[[str, Any], Any] = getattr(fields, self.kind)
        return {self.ours: getter(name, self.default)}

    def write(self, config: ModelConfig) -> Values:
        value = flat(config)[self.ours]
        return {self.theirs: None if value == self.null else value}


@dataclass(frozen=True)
class Words:
    """A string of theirs for a string of ours; if several mean the same, the first is written.

    If there is none for ours, any is written: reading it back gives another value, which shows that
    the family cannot express ours.
    """

    theirs: str
    ours: str
    words: Mapping[str, str]
    default: Any = ...

    def read(self, fields: Fields) -> Values:
        word = fields.word(self.theirs, self.default)
        if word not in self.words:
            raise fields.wrong(self.theirs, f"must be one of {', '.join(self.words)}")
        return {self.ours: self.words[word]}

    def write(self, config: ModelConfig) -> Values:
        ours = flat(config)[self.ours]
        fitting = (theirs for theirs, word in self.words.items() if word == ours)
        return {self.theirs: next(fitting, next(iter(self.words)))}


@dataclass(frozen=True)
class Always:
    """Values that have no field because every model of the family has them; ``says`` are fields
    that are always written, and not read."""

    values: Mapping[str, Any]
    says: Mapping[str, Any] = field(default_factory=dict)

    def read(self, fields: Fields) -> Values:
        return dict(self.values)

    def write(self, config: ModelConfig) -> Values:
        return dict(self.says)


@dataclass(frozen=True)
class Only:
    """A field that changes what is computed, of which only ``values`` are supported.

    The first of ``values`` is what transformers assumes for a missing field, and is not written.
    """

    theirs: str
    values: tuple[Any, ...] = (None, False)

    def read(self, fields: Fields) -> Values:
        value = fields.members.get(self.theirs, self.values[0])
        if not any(value == allowed and type(value) is type(allowed) for allowed in self.values):
            raise fields.wrong(self.theirs, "is not supported: it changes what is computed")
        return {}

    def write(self, config: ModelConfig) -> Values:
        return {}


def n_layers_of(fields: Fields) -> int:
    """The number of layers, at most ``MOST_LAYERS``."""
    n_layers = fields.size("num_hidden_layers")
    if not 1 <= n_layers <= MOST_LAYERS:
        raise fields.wrong("num_hidden_layers", f"must lie between 1 and {MOST_LAYERS}")
    return n_layers


def every_nth(chosen: Sequence[bool]) -> int | None:
    """``n`` if exactly the n-th, 2n-th, … are chosen; 0 if none are; otherwise ``None``."""
    if not any(chosen):
        return 0
    n = chosen.index(True) + 1
    regular = all(flag == ((index + 1) % n == 0) for index, flag in enumerate(chosen))
    return n if regular else None


@dataclass(frozen=True)
class Windows:
    """Which layers see only a window, and how wide it is.

    ``layer_types`` may list them; otherwise ``usual(fields, n_layers)`` says which layers have a
    window (``None``: the family has no such list, and either all layers have one or none).
    ``switch`` is the flag that turns windows on, for families that have one, and ``default`` is the
    width if ``sliding_window`` is missing (``None``: no window).
    """

    usual: Callable[[Fields, int], list[bool]] | None
    default: int | None = 4096
    switch: str | None = None

    def read(self, fields: Fields) -> Values:
        n_layers = n_layers_of(fields)
        on = self.switch is None or fields.flag(self.switch, False)
        width = self._width(fields) if on else 0
        if self.usual is None:
            if fields.has("layer_types"):
                raise fields.wrong("layer_types", "is not supported for this model_type")
            windowed = [width > 0] * n_layers
        elif fields.has("layer_types"):
            windowed = self._listed(fields, n_layers)
        else:
            windowed = self.usual(fields, n_layers) if width else [False] * n_layers
        if any(windowed) and not width:
            raise fields.wrong("layer_types", "asks for windows, but sliding_window is off")
        global_every = every_nth([not flag for flag in windowed])
        if global_every is None:
            raise fields.wrong(
                "layer_types", "is not supported: every n-th layer, or none, must see everything"
            )
        return {
            "attention.window": width if any(windowed) else 0,
            "attention.global_every": global_every if any(windowed) else 0,
        }

    def _width(self, fields: Fields) -> int:
        if "sliding_window" not in fields.members:
            return self.default or 0
        if fields.members["sliding_window"] is None:
            return 0
        width = fields.size("sliding_window")
        if width < 1:
            raise fields.wrong("sliding_window", "must be null or above 0")
        return width

    def _listed(self, fields: Fields, n_layers: int) -> list[bool]:
        kinds = {"sliding_attention": True, "full_attention": False}
        types = fields.words("layer_types")
        if len(types) != n_layers or not set(types) <= kinds.keys():
            raise fields.wrong(
                "layer_types", f"must name {n_layers} layers, each one of {', '.join(kinds)}"
            )
        return [kinds[name] for name in types]

    def write(self, config: ModelConfig) -> Values:
        windowed = [config.layer(index).window > 0 for index in range(config.n_layers)]
        written: Values = {"sliding_window": config.attention.window if any(windowed) else None}
        if self.switch is not None:
            written[self.switch] = any(windowed)
        elif self.usual is not None and not any(windowed):
            # transformers makes the mask of windowed layers even if there are none.
            written["sliding_window"] = config.max_tokens
        if self.usual is not None:
            kinds = {True: "sliding_attention", False: "full_attention"}
            written["layer_types"] = [kinds[flag] for flag in windowed]
        return written


def after_the_first(count: str, default: int) -> Callable[[Fields, int], list[bool]]:
    """Windows in all layers but the first few (Qwen's ``max_window_layers``)."""

    def usual(fields: Fields, n_layers: int) -> list[bool]:
        return [index >= fields.size(count, default) for index in range(n_layers)]

    return usual


def except_every(nth: int, named: str | None = None) -> Callable[[Fields, int], list[bool]]:
    """Windows in all layers but every n-th; the field ``named`` may set another number."""

    def usual(fields: Fields, n_layers: int) -> list[bool]:
        n = nth if named is None else fields.size(named, nth)
        if n < 1:
            raise fields.wrong(named or "", "must be above 0")
        return [(index + 1) % n != 0 for index in range(n_layers)]

    return usual


def without_rope(fields: Fields, n_layers: int) -> list[bool]:
    """Which layers have no RoPE (SmolLM3); in ``no_rope_layers`` a 1 means *with* RoPE."""
    if fields.has("no_rope_layers"):
        rotary = fields.sizes("no_rope_layers")
        if len(rotary) < n_layers:
            raise fields.wrong("no_rope_layers", f"must name {n_layers} layers")
        return [flag == 0 for flag in rotary[:n_layers]]
    n = fields.size("no_rope_layer_interval", 4)
    if n < 1:
        raise fields.wrong("no_rope_layer_interval", "must be above 0")
    return [(index + 1) % n == 0 for index in range(n_layers)]


@dataclass(frozen=True)
class NoRopeLayers:
    """Every n-th layer has no RoPE."""

    def read(self, fields: Fields) -> Values:
        every = every_nth(without_rope(fields, n_layers_of(fields)))
        if every is None:
            raise fields.wrong("no_rope_layers", "is not supported: it must be every n-th layer")
        return {"positions.nope_every": every}

    def write(self, config: ModelConfig) -> Values:
        plans = [config.layer(index).rotary for index in range(config.n_layers)]
        return {"no_rope_layers": [int(rotary != "none") for rotary in plans]}


@dataclass(frozen=True)
class DenseLayers:
    """Qwen3-MoE's layers without experts: it may list any, we support only the first few."""

    theirs: str = "mlp_only_layers"

    def read(self, fields: Fields) -> Values:
        dense = sorted(fields.sizes(self.theirs)) if fields.has(self.theirs) else []
        if dense != list(range(len(dense))):
            raise fields.wrong(self.theirs, "is not supported: it must be the first few layers")
        return {"experts.n_dense_layers": len(dense)}

    def write(self, config: ModelConfig) -> Values:
        return {self.theirs: list(range(config.experts.n_dense_layers))}


@dataclass(frozen=True)
class InverseSquare:
    """Gemma's ``query_pre_attn_scalar``: scores are multiplied by 1/√ of it."""

    theirs: str
    ours: str
    default: int

    def read(self, fields: Fields) -> Values:
        value = fields.number(self.theirs, self.default)
        if not value > 0:
            raise fields.wrong(self.theirs, "must be above 0")
        return {self.ours: value**-0.5}

    def write(self, config: ModelConfig) -> Values:
        value = flat(config)[self.ours] or config.head_dim**-0.5
        return {self.theirs: round(value**-2)}
