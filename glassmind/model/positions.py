"""Positions of tokens: learned and sinusoidal vectors, rotary embedding (RoPE), ALiBi, T5.

Learned and sinusoidal positions are *added* to the token embedding once, at the bottom. RoPE adds
nothing: in every attention it rotates each pair of query and key coordinates by an angle
proportional to the token's position, so that a score depends on the *distance* between two tokens.
ALiBi does not change queries and keys: it lowers the score in proportion to the distance. T5 adds
to the score a number that it learned for distances of about this size.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from glassmind.model.config import ModelConfig, RopeScaling
from glassmind.model.step_marks import StepMarks
from glassmind.step_structure import Role

StepPairs = tuple[StepMarks, StepMarks]
"""The marks of queries and of keys."""

_POSITIONS_AT_ONCE = 1 << 16
_CPU = torch.device("cpu")  # tables are real even while the weights are built on "meta"


def sinusoidal_table(n_positions: int, d_model: int) -> Tensor:
    """(n_positions, d_model) table of Vaswani et al. 2017 §3.5: sines then cosines.

    Angles fall geometrically from 1 to 1/10000 radians per position over the ``d_model/2``
    frequencies. The halves are concatenated rather than interleaved, a permutation of the
    paper's layout that the first linear layer absorbs.
    """
    half = d_model // 2
    frequency = 1e4 ** -(torch.arange(half, device=_CPU).double() / half)
    table = torch.empty(n_positions, 2 * half, device=_CPU)
    for rows, angle in _angles(n_positions, frequency):
        table[rows, :half], table[rows, half:] = angle.sin(), angle.cos()
    return table


def _angles(n_positions: int, frequency: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """The angles (float64) of some positions after others: of a long context they take more memory
    than the table they are for."""
    for start in range(0, n_positions, _POSITIONS_AT_ONCE):
        rows = slice(start, min(start + _POSITIONS_AT_ONCE, n_positions))
        yield rows, torch.arange(rows.start, rows.stop, device=_CPU).double()[:, None] * frequency


def rope_frequencies(dim: int, theta: float, scaling: RopeScaling) -> Tensor:
    """Radians per position of each of the ``dim/2`` pairs, float64.

    Pair *i* turns by ``theta**(-2i/dim)`` (Su et al. 2021, eq. 15), slowed as ``scaling`` says.
    """
    exponent = torch.arange(0, dim, 2, device=_CPU).double() / dim
    frequency = theta**-exponent
    slowed = frequency / scaling.factor
    if scaling.kind == "linear":
        return slowed
    if scaling.kind == "llama3":
        # How often the pair turns over the original context, on a scale from "slow" to "keep".
        turns = scaling.original_tokens * frequency / (2 * math.pi)
        low, high = scaling.low_frequency, scaling.high_frequency
        keep = ((turns - low) / (high - low)).clamp(0, 1)
        return slowed * (1 - keep) + frequency * keep
    if scaling.kind == "yarn":
        # Which pair (a fractional index) turns a given number of times over the original context.
        def pair(turns: float) -> float:
            ratio = scaling.original_tokens / (turns * 2 * math.pi)
            return dim * math.log(ratio) / (2 * math.log(theta))

        first, last = pair(scaling.beta_fast), pair(scaling.beta_slow)
        if scaling.whole_dims:
            first, last = math.floor(first), math.ceil(last)
        first, last = max(first, 0), min(last, dim - 1)
        index = torch.arange(dim // 2, device=_CPU).double()
        slow = ((index - first) / max(last - first, 1e-3)).clamp(0, 1)
        return slowed * slow + frequency * (1 - slow)
    return frequency


def yarn_sharpness(factor: float, weight: float = 1.0) -> float:
    """YaRN's factor on queries and keys, which keeps attention sharp over a longer context."""
    return 1.0 if factor <= 1 else 0.1 * weight * math.log(factor) + 1.0


def rope_gain(scaling: RopeScaling) -> float:
    """The factor on cosine and sine: 1, except for YaRN (Peng et al. 2023, eq. 22)."""
    if scaling.kind != "yarn":
        return 1.0
    if scaling.sharpness and scaling.sharpness_all:
        above = yarn_sharpness(scaling.factor, scaling.sharpness)
        return above / yarn_sharpness(scaling.factor, scaling.sharpness_all)
    return yarn_sharpness(scaling.factor)


def rope_table(
    n_positions: int, head_dim: int, theta: float, scaling: RopeScaling | None = None
) -> tuple[Tensor, Tensor]:
    """Cosine and sine of every position's angle for every pair, each (n_positions, head_dim/2)."""
    scaling = scaling or RopeScaling()
    frequency = rope_frequencies(head_dim, theta, scaling)
    gain = rope_gain(scaling)
    cos, sin = (torch.empty(n_positions, len(frequency), device=_CPU) for _ in range(2))
    for rows, angle in _angles(n_positions, frequency):
        cos[rows], sin[rows] = angle.cos() * gain, angle.sin() * gain
    return cos, sin


def rotate(x_BTHE: Tensor, cos_BTe: Tensor, sin_BTe: Tensor) -> Tensor:
    """Turn the pairs (x[i], x[i + E/2]) of every head by the given angles.

    The pairing of first half with second half is the one GPT-NeoX and Llama checkpoints use; the
    paper pairs neighbours, a fixed permutation of the coordinates. ``cos_BTe`` and ``sin_BTe``
    are (B, T, E/2) or (T, E/2).
    """
    cos, sin = cos_BTe.unsqueeze(-2), sin_BTe.unsqueeze(-2)
    first, second = x_BTHE.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


def alibi_slopes(n_heads: int) -> Tensor:
    """(H,) how much each head's score falls per token of distance (Press et al. 2021, §3).

    For a power of two the slopes are 2^(-8/n), 2^(-16/n), ...; between two powers, those of the
    lower one and then every second of the next.
    """
    lower = 2 ** math.floor(math.log2(n_heads))
    exponents = [-8 * (i + 1) / lower for i in range(lower)]
    exponents += [-4 * (2 * i + 1) / lower for i in range(n_heads - lower)]
    return torch.tensor([2.0**exponent for exponent in exponents], device=_CPU)


class ScoreBias(nn.Module):
    """What positions add to every score. A model has at most one, shared by all its layers.

    ``slopes_H`` is set if the bias is proportional to the distance: the only kind that the compiled
    loops compute by themselves. Every other kind is computed here, for every kernel.
    """

    slopes_H: Tensor | None

    def __init__(self, slopes_H: Tensor | None = None) -> None:
        super().__init__()
        self.register_buffer("slopes_H", slopes_H, persistent=False)

    def forward(self, distance_B1QS: Tensor, steps: StepPairs | None = None) -> Tensor:
        """Query positions minus key positions -> floats to add; broadcasts to (B, H, Q, S).

        ``steps`` are the marks of the queries (B, Q) and of the keys (B, S), where the model reads
        them.
        """
        raise NotImplementedError

    @property
    def learns(self) -> bool:
        """Whether it needs gradients, which only a dense table of all pairs passes on."""
        return torch.is_grad_enabled() and any(p.requires_grad for p in self.parameters())


class AlibiBias(ScoreBias):
    """ALiBi: a fixed slope per head."""

    def forward(self, distance_B1QS: Tensor, steps: StepPairs | None = None) -> Tensor:
        assert self.slopes_H is not None
        return -self.slopes_H[:, None, None] * distance_B1QS


T5_BUCKETS, T5_MOST = 32, 128


def t5_bucket(distance: Tensor) -> Tensor:
    """Which of 32 buckets a distance falls into (Raffel et al. 2019, arXiv 1910.10683, §2.1).

    0 to 15 have a bucket each; from there to 128 tokens buckets widen by a constant factor, and
    all larger distances share the last. Later tokens count as distance 0.
    """
    exact = T5_BUCKETS // 2
    distance = distance.clamp(min=0)
    growth = (distance.clamp(min=exact).float() / exact).log() / math.log(T5_MOST / exact)
    coarse = exact + (growth * (T5_BUCKETS - exact)).long()
    return torch.where(distance < exact, distance, coarse.clamp(max=T5_BUCKETS - 1))


class T5Bias(ScoreBias):
    """A trained number for each bucket of distances and head, zero at first; as in T5, all layers
    share the table."""

    def __init__(self, n_heads: int) -> None:
        super().__init__()
        self.table = nn.Embedding(T5_BUCKETS, n_heads)
        nn.init.zeros_(self.table.weight)

    def forward(self, distance_B1QS: Tensor, steps: StepPairs | None = None) -> Tensor:
        bias_BQSH: Tensor = self.table(t5_bucket(distance_B1QS.squeeze(1)))
        return bias_BQSH.movedim(-1, 1)


STEP_DISTANCES = 5  # of the same step, 1 to 3 steps before, and any more


class StepBias(ScoreBias):
    """A trained number for each head, distance in steps and role of the key, zero at first.

    The question is at distance 0 from every step, so that the bias cannot count steps by it. All
    layers share the table.
    """

    def __init__(self, n_heads: int) -> None:
        super().__init__()
        self.table = nn.Embedding(STEP_DISTANCES * len(Role), n_heads)
        nn.init.zeros_(self.table.weight)

    def forward(self, distance_B1QS: Tensor, steps: StepPairs | None = None) -> Tensor:
        assert steps is not None
        queries, keys = steps
        apart_BQS = queries.segment[:, :, None] - keys.segment[:, None]
        apart_BQS = apart_BQS.clamp(0, STEP_DISTANCES - 1) * (keys.segment > 0)[:, None]
        bias_BQSH: Tensor = self.table(apart_BQS * len(Role) + keys.role[:, None])
        return bias_BQSH.movedim(-1, 1)


def score_bias(config: ModelConfig) -> ScoreBias | None:
    """The bias that ``config`` asks for."""
    if config.positions.kind == "alibi":
        return AlibiBias(alibi_slopes(config.attention.n_heads))
    if config.positions.kind == "t5":
        return T5Bias(config.attention.n_heads)
    if config.reasoning.step_bias:
        return StepBias(config.attention.n_heads)
    return None


def position_parameters(config: ModelConfig) -> int:
    """The number of trained parameters for positions."""
    if config.positions.kind == "t5":
        return T5_BUCKETS * config.attention.n_heads
    if config.reasoning.step_bias:
        return STEP_DISTANCES * len(Role) * config.attention.n_heads
    return config.max_tokens * config.d_model if config.positions.kind == "learned" else 0


class AbsolutePositions(nn.Module):
    """The vector added to each token's embedding for its position: (T,) or (B, T) -> (.., D)."""

    table: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        if config.positions.kind == "learned":
            self.table = nn.Parameter(torch.randn(config.max_tokens, config.d_model) * 0.02)
        else:
            table = sinusoidal_table(config.max_tokens, config.d_model)
            self.register_buffer("table", table, persistent=False)

    def forward(self, positions: Tensor) -> Tensor:
        return self.table[positions]


class RotaryPositions(nn.Module):
    """RoPE's tables: one for layers that see everything, one for layers with a window.

    They are the same table unless the two differ in ``theta`` or ``scaling``.
    """

    cos: Tensor
    sin: Tensor
    local_cos: Tensor
    local_sin: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        positions = config.positions
        cos, sin = rope_table(
            config.max_tokens, config.rotary_dim, positions.rope_theta, positions.scaling
        )
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        plans = [config.layer(index).rotary for index in range(config.n_layers)]
        self.has_local = "local" in plans and (
            positions.scaling.kind != "none"
            or positions.local_theta not in (0.0, positions.rope_theta)
        )
        if self.has_local:
            theta = positions.local_theta or positions.rope_theta
            cos, sin = rope_table(config.max_tokens, config.rotary_dim, theta)
            self.register_buffer("local_cos", cos, persistent=False)
            self.register_buffer("local_sin", sin, persistent=False)

    def forward(self, positions: Tensor) -> dict[str, tuple[Tensor, Tensor] | None]:
        """By kind of layer (``LayerPlan.rotary``): cosines and sines, (T, E/2) or (B, T, E/2)."""
        everywhere = (self.cos[positions], self.sin[positions])
        nearby = everywhere
        if self.has_local:
            nearby = (self.local_cos[positions], self.local_sin[positions])
        return {"global": everywhere, "local": nearby, "none": None}
