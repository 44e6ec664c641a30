"""Random numbers that depend on what they are for, not on when they are drawn.

An ordinary generator is a queue: who draws first gets the first number, so adding one request to a
batch would change the tokens of every other. Here a number is a *function* of (seed, sample index,
step), computed by scrambling those three into 64 bits. A row gets the same random numbers alone or
in a batch, in any order, on any device (the idea of Salmon et al. 2011, "Parallel random numbers:
as easy as 1, 2, 3"; JAX works this way throughout).

The scrambler is SplitMix64 (Steele, Lea & Flood 2014, "Fast splittable pseudorandom number
generators"): step a counter by an odd constant, then mix. torch has no unsigned 64-bit arithmetic,
but int64 multiplication wraps around in the same way. Only the right shift needs a mask, because it
copies the sign bit.
"""

from __future__ import annotations

import torch
from torch import Tensor


def _signed(value: int) -> int:
    """The int64 with the same 64 bits as ``value``."""
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value


# Uses of a stream other than drawing tokens; each gets a ``branch`` of its own.
GUESSING, JUDGING = 1, 2

_GAMMA = _signed(0x9E3779B97F4A7C15)  # 2^64 / golden ratio, odd
_MULTIPLY_1 = _signed(0xBF58476D1CE4E5B9)
_MULTIPLY_2 = _signed(0x94D049BB133111EB)


def _shift_right(x: Tensor, bits: int) -> Tensor:
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def mix(x: Tensor) -> Tensor:
    """SplitMix64's finaliser, elementwise on int64: every input bit flips half the output bits."""
    x = (x ^ _shift_right(x, 30)) * _MULTIPLY_1
    x = (x ^ _shift_right(x, 27)) * _MULTIPLY_2
    return x ^ _shift_right(x, 31)


def stream_keys(seeds_R: Tensor, samples_R: Tensor) -> Tensor:
    """int64 (R,): one scrambled key per (seed, sample index); rows of one pair share their key."""
    return mix(mix(seeds_R + _GAMMA) + (samples_R + 1) * _GAMMA)


def branch(keys_R: Tensor, purpose: int) -> Tensor:
    """int64 (R,): keys of streams that have nothing to do with those of ``keys_R``."""
    return mix(keys_R ^ purpose)


def uniforms(keys_R: Tensor, step: int | Tensor) -> Tensor:
    """float32 (R,) in [0, 1): the number of each stream at ``step`` (one for all, or (R,)).

    Multiples of 2^-24, which float32 holds exactly: the largest is below 1 without rounding.
    """
    scrambled = mix(keys_R + (torch.as_tensor(step) + 1) * _GAMMA)
    return _shift_right(scrambled, 40).to(torch.float32) * 2.0**-24


def land(weights_RV: Tensor, darts_R: Tensor) -> tuple[Tensor, Tensor]:
    """Draw a token of each row by weight: int64 (R, 1), and the sums of the weights (R, 1).

    The tokens' weights are laid end to end on a line. ``darts_R``, uniform in [0, 1), are scaled to
    its length, and the token that covers the point is taken, never one of weight 0. The weights are
    overwritten.
    """
    ends_RV = weights_RV.cumsum_(1)
    total_R1 = ends_RV[:, -1:].clone()
    tokens_R1 = torch.searchsorted(ends_RV, darts_R[:, None] * total_R1, right=True)
    # Only rows with NaN give an index past the end.
    return tokens_R1.clamp_(max=weights_RV.shape[1] - 1), total_R1


def derive_seed(seed: int, *indices: int) -> int:
    """A seed in [0, 2^63) for the item ``indices`` (one or more numbers) of a run with ``seed``.

    ``derive_seed(7, 0)``, ``derive_seed(7, 1)``, ... are unrelated seeds; the order of indices
    matters.
    """
    state = torch.tensor(_signed(seed))
    for index in indices:
        state = mix(mix(state + _GAMMA) ^ _signed(index))
    return int(state) & ((1 << 63) - 1)
