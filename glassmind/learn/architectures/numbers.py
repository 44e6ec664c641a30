"""The numbers of one architecture in one row, for tables and pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from glassmind.learn.architectures.published import MODELS
from glassmind.model import PRESETS, ModelConfig
from glassmind.model.counting import flops_per_token, kv_bytes, parameters

OPEN_VOCABULARY = 1024  # tokens, where the config leaves them to the tokenizer


@dataclass(frozen=True)
class Facts:
    """A preset's numbers.

    ``parts`` are the parameters by function. ``kv_bytes_per_token`` is the size of the first token
    in a cache of 16-bit numbers, ``kv_bytes`` that of ``counted_context`` tokens, and
    ``flops_per_token`` the cost of the forward pass of the last of them. ``counted_context`` is the
    requested context, or the model's own if that is shorter.
    """

    name: str
    title: str
    size: str
    year: int
    organisation: str
    paper: str | None
    after: str | None
    idea: str
    parameters: int
    active_parameters: int
    parts: Mapping[str, int]
    kv_bytes_per_token: int
    kv_bytes: int
    flops_per_token: int
    counted_context: int
    max_tokens: int
    positions: str
    attention: str
    norms: str
    feed_forward: str


def facts(name: str, context: int) -> Facts:
    """The row of preset ``name``, counted for a text of ``context`` tokens."""
    published, config = MODELS[name], PRESETS[name]
    config = replace(config, vocab_size=config.vocab_size or OPEN_VOCABULARY)
    counted, context = parameters(config), min(context, config.max_tokens)
    parts = asdict(counted)
    del parts["idle"]
    return Facts(
        name=name,
        title=published.title,
        size=published.size,
        year=published.year,
        organisation=published.organisation,
        paper=None if published.paper is None else str(published.paper),
        after=published.after,
        idea=published.idea,
        parameters=counted.total,
        active_parameters=counted.active,
        parts=parts,
        kv_bytes_per_token=kv_bytes(config, 1),
        kv_bytes=kv_bytes(config, context),
        flops_per_token=flops_per_token(config, context),
        counted_context=context,
        max_tokens=config.max_tokens,
        positions=_positions(config),
        attention=_attention(config),
        norms=f"{config.norm} {config.norm_placement}",
        feed_forward=_feed_forward(config),
    )


COLUMNS = (
    "model",
    "year",
    "parameters",
    "active",
    "KV/token",
    "FLOPs/token",
    "context",
    "positions",
    "attention",
    "norms",
    "feed-forward",
)


def cells(row: Facts, context: int) -> tuple[str, ...]:
    """The row as text, one for each of ``COLUMNS``; a star marks a context below ``context``."""
    return (
        row.name,
        str(row.year),
        large(row.parameters),
        large(row.active_parameters) if row.active_parameters < row.parameters else "",
        f"{row.kv_bytes_per_token:,} B",
        large(row.flops_per_token) + ("*" if row.counted_context < context else ""),
        f"{row.max_tokens:,}",
        row.positions,
        row.attention,
        row.norms,
        row.feed_forward,
    )


def large(number: float) -> str:
    """Three digits and a letter: 124M, 8.03B, 671B."""
    letters = iter("kMBT")
    letter = ""
    while number >= 999.5:
        number, letter = number / 1000, next(letters)
    return f"{number:.3g}{letter}"


def _positions(config: ModelConfig) -> str:
    positions = config.positions
    if positions.kind != "rope":
        return positions.kind
    words = [f"rope, θ {large(positions.rope_theta)}"]
    if positions.local_theta:
        words.append(f"near {large(positions.local_theta)}")
    if positions.nope_every:
        words.append(f"none in 1 of {positions.nope_every}")
    if positions.scaling.kind != "none":
        words.append(f"{positions.scaling.kind} × {positions.scaling.factor:g}")
    return ", ".join(words)


def _attention(config: ModelConfig) -> str:
    attention, latent = config.attention, config.attention.latent
    if latent.kv_rank:
        words = [f"MLA {attention.n_heads}, latent {latent.kv_rank}+{latent.rope_dim}"]
    elif config.n_kv_heads == attention.n_heads:
        words = [f"MHA {attention.n_heads}"]
    else:
        kind = "MQA" if config.n_kv_heads == 1 else "GQA"
        words = [f"{kind} {attention.n_heads}/{config.n_kv_heads}"]
    if attention.qk_norm:
        words.append("QK-norm")
    if attention.window:
        share = f" in {attention.global_every - 1} of {attention.global_every}"
        words.append(f"window {attention.window}{share if attention.global_every else ''}")
    return ", ".join(words)


def _feed_forward(config: ModelConfig) -> str:
    experts = config.experts
    if not experts.n_experts:
        return config.feed_forward.kind
    shared = f" + {experts.n_shared}" if experts.n_shared else ""
    return f"{config.feed_forward.kind}, {experts.n_active} of {experts.n_experts}{shared} experts"
