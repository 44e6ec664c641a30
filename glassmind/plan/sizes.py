"""Model sizes to plan with: the published ones of one family, and any size between them."""

from __future__ import annotations

import math
from dataclasses import replace

from glassmind.errors import UserError
from glassmind.model import PRESETS, AttentionConfig, FeedForwardConfig, ModelConfig
from glassmind.model.counting import parameters

_LLAMA = PRESETS["llama3"]


def _llama(width: int, layers: int, heads: int, hidden: int, *, tied: bool = False) -> ModelConfig:
    return replace(
        _LLAMA,
        d_model=width,
        n_layers=layers,
        tie_embeddings=tied,
        attention=AttentionConfig(n_heads=heads, n_kv_heads=math.gcd(heads, 8), qk_norm=False),
        feed_forward=FeedForwardConfig("swiglu", d_hidden=hidden),
    )


# Grattafiori et al. 2024 (arXiv 2407.21783); the 1B is Llama 3.2's.
SIZES: dict[str, ModelConfig] = {
    "llama3-1b": _llama(2048, 16, 32, 8192, tied=True),
    "llama3-8b": _LLAMA,
    "llama3-70b": _llama(8192, 80, 64, 28_672),
    "llama3-405b": _llama(16_384, 126, 128, 53_248),
}
SMALLEST, LARGEST = 5e7, 2e13


def preset(name: str) -> ModelConfig:
    """A published size by name: ``llama3-8b``, or any of ``glassmind models``.

    Raises:
        UserError: there is no such name, or it has no fixed vocabulary.
    """
    config = SIZES.get(name) or PRESETS.get(name)
    if config is None:
        known = ", ".join([*SIZES, *(key for key in PRESETS if PRESETS[key].vocab_size)])
        raise UserError(f"there is no preset {name[:40]!r}; it is one of: {known}")
    if not config.vocab_size:
        raise UserError(f"preset {name} has no fixed size: give --params instead")
    return config


def shape_of(n_parameters: float) -> tuple[str, ModelConfig]:
    """A name and a config of about ``n_parameters``: a published size within 25 %, or one by rule.

    The rule is the family's: heads of 64, about one layer for every 128 of width, hidden layers
    3.5 times as wide as the residual stream, up to 8 kv heads, embeddings tied below 3 billion.

    Raises:
        UserError: the number is outside the range of the rule.
    """
    if not SMALLEST <= n_parameters <= LARGEST:
        raise UserError(
            f"--params must lie between {SMALLEST / 1e6:.0f}M and {LARGEST / 1e12:.0f}T, "
            f"not {n_parameters:g}"
        )
    for name, config in SIZES.items():
        if abs(parameters(config).total / n_parameters - 1) <= 0.25:
            return name, config
    tied = n_parameters < 3e9
    made = [
        _llama(width, max(4, round(width * deep / 128)), width // 64, 7 * width // 2, tied=tied)
        for width in [*range(256, 8192, 256), *range(8192, 65_537, 1024)]
        for deep in (0.5, 0.75, 1.0, 1.25, 2.0)
    ]
    best = min(made, key=lambda config: abs(parameters(config).total - n_parameters))
    return f"{best.n_layers} layers of width {best.d_model}", best
