"""The norms' one warning is hidden, and no other."""

from __future__ import annotations

import warnings

import torch

from glassmind.model.config import ModelConfig
from glassmind.model.norms import make_norm, silence_fusion_warning


def test_autocast_opens_no_run_with_a_warning() -> None:
    norm, x = make_norm(ModelConfig(norm="rmsnorm"), 8), torch.ones(2, 8, dtype=torch.bfloat16)
    always = torch.is_warn_always_enabled()
    torch.set_warn_always(True)
    try:
        with warnings.catch_warnings(record=True) as seen, torch.autocast("cpu", torch.bfloat16):
            warnings.simplefilter("always")
            norm(x)
            before = len(seen)
            silence_fusion_warning()
            norm(x)
            assert (before, len(seen)) == (1, 1)
            warnings.warn("Mismatch of something else", stacklevel=1)
            assert len(seen) == 2
    finally:
        torch.set_warn_always(always)
