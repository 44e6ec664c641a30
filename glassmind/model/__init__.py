"""ids → logits: the transformer and its parts. No files, no training.

Read in this order: ``config`` (what a model is, as data), ``transformer`` (the whole, top down),
``attention``, ``feed_forward``, ``norms``, ``positions``, ``masks`` and ``scoring`` (which tokens
attend to which), ``step_marks`` (which step of a chain of thought each token belongs to),
``attention_kernels`` (the formula and the fast kernels), ``chunked`` (attention over long rows),
``experts`` and ``latent_attention`` (which only some models have), ``cache`` (keys and values
during generation), ``taps`` (how to look inside), ``heads`` (other outputs of the trunk),
``presets`` (published models as configs), ``outline`` (a model without its weights), ``eager``
(what is never compiled), ``counting`` and ``memory_plan`` (what a model costs), ``facts`` (what is
printed of a model), ``quantized`` (frozen weights in 4 or 8 bits), ``finite`` (NaN among weights is
refused).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from glassmind.lazy_names import lazy_names

__all__ = [
    "PRESETS",
    "ActorCritic",
    "AttentionConfig",
    "Block",
    "Cache",
    "ExpertsConfig",
    "FeedForwardConfig",
    "KVCache",
    "LatentConfig",
    "LayerPlan",
    "Mask",
    "ModelConfig",
    "Parameters",
    "PositionConfig",
    "RopeScaling",
    "Scoring",
    "Tap",
    "TokenScorer",
    "Transformer",
    "VisibleKeys",
    "causal",
    "flops_per_token",
    "kv_bytes",
    "left_padding",
    "parameters",
    "prefix",
    "probe",
    "rebalance",
    "same_document",
    "sliding_window",
    "tap_names",
    "zero",
]

if TYPE_CHECKING:
    from glassmind.model.cache import Cache, KVCache
    from glassmind.model.config import (
        AttentionConfig,
        ExpertsConfig,
        FeedForwardConfig,
        LatentConfig,
        LayerPlan,
        ModelConfig,
        PositionConfig,
        RopeScaling,
    )
    from glassmind.model.counting import Parameters, flops_per_token, kv_bytes, parameters
    from glassmind.model.experts import rebalance
    from glassmind.model.heads import ActorCritic, TokenScorer
    from glassmind.model.masks import (
        Mask,
        causal,
        left_padding,
        prefix,
        same_document,
        sliding_window,
    )
    from glassmind.model.presets import PRESETS
    from glassmind.model.scoring import Scoring, VisibleKeys
    from glassmind.model.taps import Tap, probe, tap_names, zero
    from glassmind.model.transformer import Block, Transformer
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "glassmind.model.cache": ("Cache", "KVCache"),
            "glassmind.model.config": (
                "AttentionConfig",
                "ExpertsConfig",
                "FeedForwardConfig",
                "LatentConfig",
                "LayerPlan",
                "ModelConfig",
                "PositionConfig",
                "RopeScaling",
            ),
            "glassmind.model.counting": ("Parameters", "flops_per_token", "kv_bytes", "parameters"),
            "glassmind.model.experts": ("rebalance",),
            "glassmind.model.heads": ("ActorCritic", "TokenScorer"),
            "glassmind.model.masks": (
                "Mask",
                "causal",
                "left_padding",
                "prefix",
                "same_document",
                "sliding_window",
            ),
            "glassmind.model.presets": ("PRESETS",),
            "glassmind.model.taps": ("Tap", "probe", "tap_names", "zero"),
            "glassmind.model.scoring": ("Scoring", "VisibleKeys"),
            "glassmind.model.transformer": ("Block", "Transformer"),
        },
    )
