"""Stretched RoPE against the reference's frequencies."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from glassmind.model import PRESETS, RopeScaling
from glassmind.model.positions import rope_frequencies, rope_gain, rope_table

CASES: dict[str, tuple[RopeScaling, dict[str, Any]]] = {
    "linear": (RopeScaling("linear", factor=8.0), {}),
    "llama3.1": (
        PRESETS["llama3.1"].positions.scaling,
        {"low_freq_factor": 1.0, "high_freq_factor": 4.0},
    ),
    "llama3.2": (
        RopeScaling("llama3", factor=32.0, low_frequency=1.0, high_frequency=4.0),
        {"low_freq_factor": 1.0, "high_freq_factor": 4.0},
    ),
    "olmo3": (PRESETS["olmo3"].positions.scaling, {}),
    "deepseek-v3": (
        PRESETS["deepseek-v3"].positions.scaling,
        {"mscale": 1.0, "mscale_all_dim": 1.0},
    ),
    "yarn, sharpened": (
        RopeScaling("yarn", 16.0, 4096, beta_fast=24, sharpness=0.7, sharpness_all=1.2),
        {"beta_fast": 24, "mscale": 0.7, "mscale_all_dim": 1.2},
    ),
    "yarn, not rounded": (
        RopeScaling("yarn", 4.0, 4096, beta_fast=16, beta_slow=2, whole_dims=False),
        {"beta_fast": 16, "beta_slow": 2, "truncate": False},
    ),
}


@pytest.mark.parametrize("dim", [16, 64, 128])
@pytest.mark.parametrize("theta", [10_000.0, 500_000.0])
@pytest.mark.parametrize("name", CASES)
def test_frequencies_are_those_of_the_reference(name: str, theta: float, dim: int) -> None:
    pytest.importorskip("transformers", reason="transformers is not installed")
    from transformers import LlamaConfig
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    scaling, extra = CASES[name]
    parameters = {
        "rope_type": scaling.kind,
        "rope_theta": theta,
        "factor": scaling.factor,
        "original_max_position_embeddings": scaling.original_tokens,
    }
    config = LlamaConfig(
        head_dim=dim,
        max_position_embeddings=int(scaling.factor * scaling.original_tokens),
        rope_parameters=parameters | extra,
    )
    frequencies, gain = ROPE_INIT_FUNCTIONS[scaling.kind](config, torch.device("cpu"))
    ours = rope_frequencies(dim, theta, scaling)
    assert ours.dtype == torch.float64  # theirs is rounded to float32
    torch.testing.assert_close(ours.float(), frequencies, atol=0, rtol=2e-6)
    assert rope_gain(scaling) == pytest.approx(gain, rel=1e-6)


def test_no_scaling_is_the_plain_formula() -> None:
    expected = [100.0 ** (-2 * i / 8) for i in range(4)]
    assert rope_frequencies(8, 100.0, RopeScaling()).tolist() == pytest.approx(expected)


def test_a_far_position_keeps_its_angle() -> None:
    """At position 100,000 a float32 angle would be off by thousandths of a radian."""
    position = 100_000
    cos, sin = rope_table(position + 1, 64, 10_000.0)
    angle = position * rope_frequencies(64, 10_000.0, RopeScaling())
    torch.testing.assert_close(cos[position].double(), angle.cos(), atol=1e-7, rtol=0)
    torch.testing.assert_close(sin[position].double(), angle.sin(), atol=1e-7, rtol=0)
