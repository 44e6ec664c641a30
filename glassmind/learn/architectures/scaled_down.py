"""Any architecture at a size that trains on a laptop, with its characteristic values kept.

Published models differ mostly in values that do not depend on size: where they normalise, how they
encode positions, how heads share keys. ``scaled_down`` keeps these and sets the sizes to the same
few numbers for all models, so that two architectures can be compared.
"""

from __future__ import annotations

from dataclasses import replace

from glassmind.model.config import (
    AttentionConfig,
    ExpertsConfig,
    LatentConfig,
    ModelConfig,
    RopeScaling,
)

N_HEADS = 4


def scaled_down(config: ModelConfig, d_model: int = 128, max_tokens: int = 512) -> ModelConfig:
    """``config`` with 4 heads and at least 4 layers, ``d_model`` wide, without a ``vocab_size``.

    All kinds and switches are kept and, up to rounding, the proportions: of kv heads to heads, of
    hidden width to ``d_model``, of active experts. A pattern over layers (``global_every``,
    ``nope_every``) is kept, with enough layers to show it. ``d_model`` must be a multiple of 16.
    """
    attention, positions = config.attention, config.positions
    feed_forward = config.feed_forward
    return replace(
        config,
        vocab_size=0,
        max_tokens=max_tokens,
        d_model=d_model,
        n_layers=max(4, attention.global_every, positions.nope_every),
        attention=_attention(config, d_model, max_tokens),
        positions=replace(positions, scaling=_scaling(positions.scaling, max_tokens)),
        feed_forward=replace(
            feed_forward,
            d_hidden=_in_proportion(config.d_hidden, config.d_model, d_model)
            if feed_forward.d_hidden
            else 0,
        ),
        experts=_experts(config, d_model),
    )


def _in_proportion(number: int, of: int, to: int) -> int:
    """``number`` scaled by ``to / of``, as a multiple of 8."""
    return max(8, 8 * round(number * to / of / 8))


def _attention(config: ModelConfig, d_model: int, max_tokens: int) -> AttentionConfig:
    attention, head_dim = config.attention, d_model // N_HEADS
    sharing = attention.n_heads // config.n_kv_heads
    latent = attention.latent
    if latent.kv_rank:
        latent = LatentConfig(
            kv_rank=head_dim,
            q_rank=d_model // 2 if latent.q_rank else 0,
            content_dim=head_dim,
            rope_dim=head_dim // 2,
            value_dim=head_dim,
        )
    return replace(
        attention,
        n_heads=N_HEADS,
        n_kv_heads=max(1, N_HEADS // sharing) if attention.n_kv_heads else 0,
        head_dim=2 * head_dim if attention.head_dim else 0,
        window=max_tokens // 8 if attention.window else 0,
        latent=latent,
    )


def _scaling(scaling: RopeScaling, max_tokens: int) -> RopeScaling:
    """The same context extension, relative to the small model's own context."""
    if scaling.kind == "none":
        return scaling
    return replace(scaling, original_tokens=max(1, int(max_tokens / scaling.factor)))


def _experts(config: ModelConfig, d_model: int) -> ExpertsConfig:
    experts = config.experts
    if not experts.n_experts:
        return experts
    return replace(
        experts,
        n_experts=8,
        n_active=2,
        d_hidden=_in_proportion(experts.d_hidden, config.d_model, d_model),
        n_dense_layers=min(1, experts.n_dense_layers),
        n_groups=4 if experts.n_groups > 1 else 1,
        n_active_groups=2 if experts.n_groups > 1 else 1,
    )
