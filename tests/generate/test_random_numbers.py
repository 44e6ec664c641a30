"""The counter-based generator against plain-integer SplitMix64, and its statistics."""

from __future__ import annotations

import torch

from glassmind.generate import derive_seed
from glassmind.generate.sampling.random_numbers import branch, land, mix, stream_keys, uniforms

MASK = (1 << 64) - 1


def plain_mix(x: int) -> int:
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def test_mix_equals_plain_integers() -> None:
    values = [0, 1, -1, 12345, 2**63 - 1, -(2**63), 987654321987654321]
    mixed = [int(x) & MASK for x in mix(torch.tensor(values))]
    assert mixed == [plain_mix(value & MASK) for value in values]


def test_first_outputs_of_the_published_generator() -> None:
    """SplitMix64 seeded with 1234567 begins with these numbers in every implementation."""
    gamma = 0x9E3779B97F4A7C15
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    states = [(1234567 + (i + 1) * gamma) & MASK for i in range(3)]
    signed = torch.tensor([s - (1 << 64) if s >> 63 else s for s in states])
    assert [int(x) & MASK for x in mix(signed)] == expected


def test_uniforms_are_uniform_and_uncorrelated_in_every_direction() -> None:
    seeds = torch.arange(40).repeat_interleave(50)
    samples = torch.arange(50).repeat(40)
    keys = stream_keys(seeds, samples)
    assert len(set(keys.tolist())) == len(keys)
    table = torch.stack([uniforms(keys, step) for step in range(50)]).view(50, 40, 50)
    assert table.min() >= 0
    assert table.max() < 1
    assert abs(table.mean() - 0.5) < 0.004  # 4 standard errors of 100,000 numbers
    assert abs(table.var() - 1 / 12) < 0.002
    centred = table - 0.5
    for dim in range(3):
        size = table.shape[dim] - 1
        lagged = centred.narrow(dim, 0, size) * centred.narrow(dim, 1, size)
        assert abs(lagged.mean() * 12) < 0.014


def test_step_may_differ_per_row() -> None:
    keys = stream_keys(torch.tensor([3, 4]), torch.tensor([0, 0]))
    both = uniforms(keys, torch.tensor([7, 9]))
    assert both[0] == uniforms(keys, 7)[0]
    assert both[1] == uniforms(keys, 9)[1]


def test_branches_are_streams_of_their_own() -> None:
    keys = stream_keys(torch.arange(2000), torch.zeros(2000, dtype=torch.int64))
    streams = torch.stack(
        [uniforms(branch(keys, purpose), step) for purpose in (1, 2) for step in (0, 1)]
        + [uniforms(keys, step) for step in (0, 1)]
    )
    correlations = torch.corrcoef(streams) - torch.eye(6)
    assert correlations.abs().max() < 0.1  # 4 standard errors


def test_darts_land_on_tokens_as_wide_as_their_weight() -> None:
    weights = torch.tensor([0.0, 3.0, 0.0, 1.0, 0.0]).repeat(4, 1)
    tokens, total = land(weights, torch.tensor([0.0, 0.74, 0.76, 1 - 2**-24]))
    assert tokens[:, 0].tolist() == [1, 1, 3, 3]
    assert total[:, 0].tolist() == [4.0] * 4


def test_derived_seeds_are_distinct_and_repeatable() -> None:
    seeds = {derive_seed(0, stage, i) for stage in range(10) for i in range(50)}
    assert len(seeds) == 500
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert derive_seed(5, 1, 2) == derive_seed(5, 1, 2) != derive_seed(5, 2, 1)
    assert derive_seed(-1) != derive_seed(-1, 0)
