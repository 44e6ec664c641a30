"""What a transformer is, as data.

An architecture is a row of values, not a subclass: every published model this package knows is a
``ModelConfig`` (see ``presets.py``), and reading two of them side by side says what the field
changed. The nested dataclasses match the tables of a recipe's TOML file:

    [model]
    d_model = 128
    n_layers = 4
    [model.attention]
    n_heads = 4
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

PositionKind = Literal["learned", "sinusoidal", "rope", "none"]
NormKind = Literal["rmsnorm", "layernorm"]
FeedForwardKind = Literal["relu2", "gelu", "swiglu"]


@dataclass(frozen=True)
class AttentionConfig:
    """How tokens look at each other (Vaswani et al. 2017, arXiv 1706.03762).

    ``n_kv_heads`` < ``n_heads`` is grouped-query attention (Ainslie et al. 2023, 2305.13245):
    several query heads share one key/value head, and the KV cache shrinks by that factor; 0 means
    as many as ``n_heads`` (plain multi-head attention). ``head_dim`` 0 means ``d_model/n_heads``.
    ``qk_norm`` normalises every query and key to keep the scores bounded (Henry et al. 2020,
    2010.04245). ``bias`` adds biases to the four projections, as GPT-2 does.
    """

    n_heads: int = 4
    n_kv_heads: int = 0
    head_dim: int = 0
    qk_norm: bool = True
    bias: bool = False


@dataclass(frozen=True)
class PositionConfig:
    """How the model knows the order of tokens.

    ``rope`` rotates queries and keys by an angle proportional to position (Su et al. 2021,
    2104.09864); ``rope_theta`` is its longest wavelength divided by 2π. ``learned`` adds a trained
    vector per position (GPT-2), ``sinusoidal`` a fixed one (Vaswani et al. 2017), ``none`` nothing
    at all (the causal mask alone leaks order; Kazemnejad et al. 2023, 2305.19466).
    """

    kind: PositionKind = "rope"
    rope_theta: float = 10_000.0


@dataclass(frozen=True)
class FeedForwardConfig:
    """The per-token network between attentions.

    ``relu2`` is ReLU squared (So et al. 2021, 2109.08668), ``gelu`` GPT-2's tanh form (Hendrycks &
    Gimpel 2016, 1606.08415), ``swiglu`` a gated SiLU (Shazeer 2020, 2002.05202). ``d_hidden`` 0
    means ``4 * d_model``.
    """

    kind: FeedForwardKind = "relu2"
    d_hidden: int = 0
    bias: bool = False


@dataclass(frozen=True)
class ModelConfig:
    """One decoder-only transformer. ``vocab_size`` 0 means: taken from the tokenizer.

    ``max_tokens`` is the context length in tokens; longer inputs are refused. ``tie_embeddings``
    uses the embedding matrix as the output layer as well (Press & Wolf 2017, 1608.05859).
    """

    vocab_size: int = 0
    max_tokens: int = 512
    d_model: int = 128
    n_layers: int = 4
    norm: NormKind = "rmsnorm"
    norm_eps: float = 1e-5
    tie_embeddings: bool = True
    attention: AttentionConfig = field(default_factory=AttentionConfig)
    positions: PositionConfig = field(default_factory=PositionConfig)
    feed_forward: FeedForwardConfig = field(default_factory=FeedForwardConfig)

    def __post_init__(self) -> None:
        for name in ("d_model", "n_layers", "max_tokens"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name, value in (
            ("vocab_size", self.vocab_size),
            ("attention.head_dim", self.attention.head_dim),
            ("feed_forward.d_hidden", self.feed_forward.d_hidden),
        ):
            if value < 0:
                raise ValueError(f"{name} must not be negative, not {value}")
        for name, number in (
            ("norm_eps", self.norm_eps),
            ("positions.rope_theta", self.positions.rope_theta),
        ):
            if not number > 0:
                raise ValueError(f"{name} must be above 0, not {number}")
        heads, kv_heads = self.attention.n_heads, self.n_kv_heads
        if heads < 1 or kv_heads < 1 or heads % kv_heads:
            raise ValueError(
                f"attention.n_heads ({heads}) must be a positive multiple of "
                f"attention.n_kv_heads ({kv_heads})"
            )
        if not self.attention.head_dim and self.d_model % heads:
            raise ValueError(
                f"d_model ({self.d_model}) must be divisible by attention.n_heads ({heads}), "
                "or attention.head_dim must be given"
            )
        if self.positions.kind == "rope" and self.head_dim % 2:
            raise ValueError(f"RoPE turns pairs: head_dim must be even, not {self.head_dim}")
        if self.positions.kind == "sinusoidal" and self.d_model % 2:
            raise ValueError(f"sinusoidal positions need an even d_model, not {self.d_model}")

    @property
    def n_kv_heads(self) -> int:
        """Number of key/value heads, K."""
        return self.attention.n_kv_heads or self.attention.n_heads

    @property
    def head_dim(self) -> int:
        """Width of one head, E."""
        return self.attention.head_dim or self.d_model // self.attention.n_heads

    @property
    def d_hidden(self) -> int:
        """Width of the feed-forward network's inner layer."""
        return self.feed_forward.d_hidden or 4 * self.d_model
