"""Converts between the facts of a GGUF and a ``ModelConfig``.

A fact that is neither used nor harmless is refused by name (see ``facts``). Writing is checked by
reading: an architecture can express a config exactly if the facts written for it give the same
config back. The architecture to write is found in the same way.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

from glassmind.errors import UserError
from glassmind.interop.building import refuse_layers
from glassmind.interop.canonical import FlatConfig, assemble, canonical, differences, flat
from glassmind.interop.gguf.architectures import ARCHITECTURES, REQUIRED, Architecture
from glassmind.interop.gguf.facts import Facts
from glassmind.interop.gguf.stretched_rope import read_scaling, scaling_facts
from glassmind.model import ModelConfig, RopeScaling

_SCORES = {"softmax": 1, "sigmoid": 2}
_SCORE_OF = {number: score for score, number in _SCORES.items()}
_GEMMA_27B_LAYERS = 62  # by this llama.cpp recognises the model with an unusual scale of scores


def read_sizes(
    architecture: str,
    metadata: Mapping[str, object],
    path: Path,
    *,
    names: Collection[str],
    vocab_size: int,
    llama3: RopeScaling | None = None,
) -> ModelConfig:
    """The model that the facts describe.

    ``names`` are the names of the file's tensors, which say whether the output layer is the
    embedding; ``llama3`` is the scaling that its tensor of RoPE factors stands for, if it has one.

    Raises:
        UserError: a fact is missing, wrong, or cannot be expressed.
    """
    row = ARCHITECTURES[architecture]
    facts = Facts(metadata, architecture, path)
    usual = {**flat(ModelConfig()), **row.base}
    values: FlatConfig = dict(row.base)
    for fact, value_name in row.fields.items():
        if fact in REQUIRED and fact not in facts.values:
            raise facts.wrong(fact, "is missing")
        values[value_name] = facts.get(fact, usual[value_name])
    refuse_layers(values["n_layers"], str(path))  # here: some facts are a list with one for each
    values["vocab_size"] = vocab_size
    values["tie_embeddings"] = "output.weight" not in names
    for read in (_read_window, _read_experts, _read_latent):
        read(facts, row, values)
    if architecture == "gemma3" and values["n_layers"] == _GEMMA_27B_LAYERS:
        values["attention.scale"] = _gemma_27b_scale(values["d_model"], values["attention.n_heads"])
    if "experts.balance" not in row.base:
        values["experts.balance"] = any("exp_probs_b" in name for name in names)
    try:
        config = assemble(ModelConfig, values)
        if config.positions.kind == "rope":
            scaling = llama3 or read_scaling(facts, row, config)
            config = assemble(ModelConfig, {**values, **flat(scaling, "positions.scaling.")})
    except ValueError as error:
        raise UserError(f"{path}: its facts do not describe a model: {error}") from None
    for fact, expected in _implied(config).items():
        facts.must_be(fact, expected)
    for fact, only in row.constants.items():
        if metadata.get(fact) not in (only, [only] * config.n_layers):
            raise UserError(
                f"{path}: {fact} is {metadata.get(fact)!r:.60}; a model can be loaded with {only}"
            )
    facts.must_be("attention.causal", True)
    facts.must_be("rope.scaling.finetuned", True, False)
    if facts.values.get("attention.sliding_window", 0) == config.max_tokens:
        facts.seen.add("attention.sliding_window")  # a window that hides nothing
    facts.refuse_others()
    return config


def write_sizes(config: ModelConfig, architecture: str) -> dict[str, object]:
    """The facts for ``config``, by full name, with the name of the architecture among them."""
    row = ARCHITECTURES[architecture]
    config = canonical(config)
    values = flat(config)
    if row.one_width and config.experts.n_experts:
        values["feed_forward.d_hidden"] = config.experts.d_hidden
    facts = {fact: values[name] for fact, name in row.fields.items()}
    facts |= _implied(config)
    if config.attention.window and "attention.sliding_window" in row.fields:
        every = config.attention.global_every
        facts["attention.sliding_window_pattern"] = [
            not every or (index + 1) % every != 0 for index in range(config.n_layers)
        ]
    for fact, value_name in row.fields.items():
        # llama.cpp expects no fact for no experts, no window, or no compressed queries.
        unused = value_name.startswith("experts.") and not config.experts.n_experts
        if (unused or values[value_name] == 0) and fact not in REQUIRED:
            del facts[fact]
    if "expert_shared_count" in row.fields:
        facts["expert_shared_count"] = config.experts.n_shared
        facts["expert_gating_func"] = _SCORES[config.experts.score]
        if not config.experts.n_experts:  # to llama.cpp, a mixture without any layer of experts
            facts["leading_dense_block_count"] = config.n_layers
            facts["expert_feed_forward_length"] = config.d_hidden
    if config.positions.kind == "rope":
        facts |= scaling_facts(config.positions.scaling)
    return {
        "general.architecture": architecture,
        **{f"{architecture}.{fact}": value for fact, value in facts.items()},
        **row.constants,
    }


def architecture_for(config: ModelConfig) -> str:
    """The name of the architecture that expresses ``config`` exactly.

    Raises:
        UserError: there is none; the message names what the closest one cannot express.
    """
    lacks = {name: _lost_in(name, config) for name in ARCHITECTURES}
    closest = min(lacks, key=lambda name: len(lacks[name]))
    if lacks[closest]:
        raise UserError(
            f"no architecture of GGUF expresses this model; the closest is {closest}, "
            f"but for {'; '.join(dict.fromkeys(lacks[closest][:4]))}"
        )
    return closest


def _lost_in(architecture: str, config: ModelConfig) -> list[str]:
    """The values of ``config`` that are lost if it is written for ``architecture``."""
    row, scaling = ARCHITECTURES[architecture], config.positions.scaling
    stretched = config.positions.kind == "rope" and scaling.kind != "none"
    if stretched and scaling.kind not in row.scalings:
        config = replace(config, positions=replace(config.positions, scaling=RopeScaling()))
    names = [] if config.tie_embeddings else ["output.weight"]
    if config.experts.n_experts and config.experts.balance:
        names.append("blk.0.exp_probs_b.bias")
    try:
        again = read_sizes(
            architecture,
            write_sizes(config, architecture),
            Path("GGUF"),
            names=names,
            vocab_size=config.vocab_size,
            llama3=scaling if stretched and scaling.kind == "llama3" else None,
        )
    except UserError as error:  # a different kind of model
        return [str(error)] * len(flat(config))
    lost = [
        f"{name} = {mine} (there {theirs})" for name, mine, theirs in differences(config, again)
    ]
    if stretched and scaling.kind not in row.scalings:
        lost.append(f"positions.scaling.kind = {scaling.kind}")
    return lost


def _read_window(facts: Facts, row: Architecture, values: FlatConfig) -> None:
    """Which layers have the window: all but every ``global_every``-th."""
    if "attention.sliding_window" not in row.fields:
        return
    name = "attention.sliding_window_pattern"
    facts.seen.add(name)
    pattern = facts.values.get(name, values["attention.global_every"])
    if not isinstance(pattern, list):
        if type(pattern) is not int or pattern < 0:
            raise facts.wrong(name, "must be a whole number, or yes or no for each layer")
        values["attention.global_every"] = pattern
        return
    every = pattern.index(False) + 1 if False in pattern else 0
    regular = [not every or (index + 1) % every != 0 for index in range(len(pattern))]
    if pattern != regular or len(pattern) != values["n_layers"]:
        raise facts.wrong(name, "must repeat a pattern of layers with a window, then one without")
    values["attention.global_every"] = every


def _read_experts(facts: Facts, row: Architecture, values: FlatConfig) -> None:
    if row.one_width and values["experts.n_experts"]:
        values["experts.d_hidden"] = values["feed_forward.d_hidden"]
    if "expert_shared_count" in row.fields:
        number = facts.get("expert_gating_func", _SCORES["softmax"])
        if number not in _SCORE_OF:
            raise facts.wrong("expert_gating_func", f"is {number}; 1 and 2 are known")
        values["experts.score"] = _SCORE_OF[number]
        if values["experts.n_experts"]:  # llama.cpp needs at least one shared expert
            values["experts.n_shared"] = max(1, values["experts.n_shared"])
        # Without groups, llama.cpp stores 0 groups; this package has one group.
        for name in ("experts.n_groups", "experts.n_active_groups"):
            values[name] = values[name] or 1


def _read_latent(facts: Facts, row: Architecture, values: FlatConfig) -> None:
    if "attention.kv_lora_rank" not in row.fields:
        return
    width = facts.get("attention.key_length_mla", 0)
    if not width:
        raise facts.wrong(
            "attention.key_length_mla",
            "is missing: the file is from before llama.cpp split the matrix of keys and values",
        )
    values["attention.latent.content_dim"] = width - values["attention.latent.rope_dim"]


def _implied(config: ModelConfig) -> dict[str, object]:
    """Facts that follow from others, and must agree with them if they are in the file."""
    latent = config.attention.latent
    facts: dict[str, object] = {"vocab_size": config.vocab_size}
    if latent.kv_rank:
        facts["attention.head_count_kv"] = 1
        facts["attention.key_length"] = latent.kv_rank + latent.rope_dim
        facts["attention.value_length"] = latent.kv_rank
        facts["attention.key_length_mla"] = latent.content_dim + latent.rope_dim
    else:
        facts["attention.head_count_kv"] = config.n_kv_heads
        facts["attention.key_length"] = config.head_dim
        facts["attention.value_length"] = config.head_dim
    if config.positions.kind == "rope":
        facts["rope.dimension_count"] = config.rotary_dim
    return facts


def _gemma_27b_scale(d_model: int, n_heads: int) -> float:
    """The scale of scores in the largest Gemma 3, from d_model / n_heads instead of head_dim."""
    return float((d_model // max(n_heads, 1)) ** -0.5)
