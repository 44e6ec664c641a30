"""ids → logits: the transformer and its parts. No files, no training.

Read in this order: ``config`` (what a model is, as data), ``transformer`` (the whole, top down),
``attention``, ``feed_forward``, ``norms``, ``positions``, ``masks``, then ``cache`` (how generation
remembers), ``probe`` (how to look inside), ``heads`` (other readings of the trunk) and ``presets``
(published models as rows of values).
"""

from glassmind.model.cache import Cache, KVCache
from glassmind.model.config import (
    AttentionConfig,
    FeedForwardConfig,
    ModelConfig,
    PositionConfig,
)
from glassmind.model.heads import TokenScorer
from glassmind.model.masks import Mask, causal, prefix, same_document, sliding_window
from glassmind.model.presets import PRESETS
from glassmind.model.probe import Tap, probe, tap_names, zero
from glassmind.model.transformer import Block, Transformer

__all__ = [
    "PRESETS",
    "AttentionConfig",
    "Block",
    "Cache",
    "FeedForwardConfig",
    "KVCache",
    "Mask",
    "ModelConfig",
    "PositionConfig",
    "Tap",
    "TokenScorer",
    "Transformer",
    "causal",
    "prefix",
    "probe",
    "same_document",
    "sliding_window",
    "tap_names",
    "zero",
]
