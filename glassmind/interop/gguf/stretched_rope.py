"""How a GGUF stores a RoPE that is stretched for longer contexts.

Linear stretching and YaRN are facts. For Llama 3's blend of frequencies the file has its result
instead, a tensor ``rope_freqs`` that divides the frequency of each pair. The parameters can be
recovered from it: fast pairs are kept, slow ones are slowed by ``factor``, and in between the share
*s* of the original frequency is linear in the frequency *f* (Grattafiori et al. 2024, arXiv
2407.21783; ``rope_frequencies``),

    s = (original_tokens · f / 2π - low) / (high - low),

so the line through two such pairs gives all three numbers, up to a common factor. The usual numbers
are tried first, which also works if a small head has fewer than two such pairs.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from glassmind.errors import UserError
from glassmind.interop.gguf.architectures import Architecture
from glassmind.interop.gguf.facts import Facts
from glassmind.model import ModelConfig, RopeScaling
from glassmind.model.positions import rope_frequencies, yarn_sharpness

FACTORS = "rope_freqs.weight"
_TOLERANCE = 1e-4  # relative; the factors are 32-bit numbers worked out from 32-bit frequencies
# What published models use: tokens of the original context (8192, mostly), low, high.
_USUAL = [(2**power, 1.0, 4.0) for power in range(3, 24)]


def read_scaling(facts: Facts, row: Architecture, config: ModelConfig) -> RopeScaling:
    """How RoPE is stretched; llama.cpp's default is ``linear`` with factor 1."""
    kind = facts.get("rope.scaling.type", "linear")
    factor = facts.get("rope.scaling.factor", 0.0) or facts.get("rope.scale_linear", 1.0)
    facts.must_be("rope.scaling.attn_factor", 1.0)
    facts.must_be("rope.scaling.yarn_ext_factor", 1.0)
    facts.must_be("rope.scaling.yarn_attn_factor", 1.0, yarn_sharpness(factor))
    original = facts.get("rope.scaling.original_context_length", config.max_tokens)
    beta_fast = facts.get("rope.scaling.yarn_beta_fast", 32.0)
    beta_slow = facts.get("rope.scaling.yarn_beta_slow", 1.0)
    # DeepSeek's mscale_all_dim, which is stored divided by 10.
    share = 10 * facts.get("rope.scaling.yarn_log_multiplier", 0.0)
    if kind == "none" or factor == 1.0:
        return RopeScaling()
    if kind not in row.scalings:
        raise facts.wrong("rope.scaling.type", f"is {kind!r}, which cannot be expressed")
    if kind == "linear":
        return RopeScaling("linear", factor)
    if bool(share) != bool(config.attention.latent.kv_rank):
        raise facts.wrong("rope.scaling.yarn_log_multiplier", "goes with latent attention only")
    share = round(share, 6)  # a tenth of it was a 32-bit number
    return RopeScaling(
        "yarn",
        factor,
        original,
        beta_fast=beta_fast,
        beta_slow=beta_slow,
        sharpness=share,
        sharpness_all=share,
    )


def scaling_facts(scaling: RopeScaling) -> dict[str, object]:
    """The inverse of ``read_scaling``, except for the blend that is stored as a tensor."""
    facts: dict[str, object] = {}
    if scaling.kind in ("linear", "yarn"):
        facts["rope.scaling.type"] = scaling.kind
        facts["rope.scaling.factor"] = scaling.factor
    if scaling.kind == "yarn":
        facts["rope.scaling.original_context_length"] = scaling.original_tokens
        facts["rope.scaling.yarn_beta_fast"] = scaling.beta_fast
        facts["rope.scaling.yarn_beta_slow"] = scaling.beta_slow
        if scaling.sharpness_all:
            facts["rope.scaling.yarn_log_multiplier"] = scaling.sharpness_all / 10
    return facts


def factors_of(config: ModelConfig) -> Tensor:
    """The divisors of the pairs' frequencies in Llama 3's blend: (E/2,) float32."""
    theta, dim = config.positions.rope_theta, config.rotary_dim
    plain = rope_frequencies(dim, theta, RopeScaling())
    return (plain / rope_frequencies(dim, theta, config.positions.scaling)).float()


def blend_from(factors: Tensor, dim: int, theta: float, path: object) -> RopeScaling:
    """The blend whose ``factors_of`` these are.

    Raises:
        UserError: there is none.
    """
    wrong = UserError(f"{path}: tensor {FACTORS} is not a blend of frequencies as in Llama 3")
    factors = factors.double()
    if factors.shape != (dim // 2,) or not bool((factors.isfinite() & (factors > 0)).all()):
        raise wrong
    plain = rope_frequencies(dim, theta, RopeScaling())
    slowest = float(factors.max())
    candidates = list(_USUAL)
    kept = (1 / factors - 1 / slowest) / (1 - 1 / slowest) if slowest > 1 else factors
    between = ((kept > 1e-3) & (kept < 1 - 1e-3)).nonzero()[:, 0].tolist()
    if len(between) > 1:
        first, last = between[0], between[-1]
        slope = float((kept[first] - kept[last]) / (plain[first] - plain[last]))
        start = float(kept[first] - slope * plain[first])  # -low / (high - low)
        if slope > 0 > start:
            spread = -1 / start  # high - low, with low = 1
            tokens = slope * 2 * math.pi * spread
            if 1 <= tokens < 2**40:
                # First rounded, as published configs have it, then exactly as on the line.
                candidates.append((round(tokens), 1.0, float(round(1 + spread, 2))))
                candidates.append((round(tokens), 1.0, 1 + spread))
    for original, low, high in candidates:
        blend = RopeScaling("llama3", slowest, original, low, high)
        again = plain / rope_frequencies(dim, theta, blend)
        if torch.allclose(again, factors, rtol=_TOLERANCE, atol=0):
            return blend
    raise wrong
