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

from glassmind.step_structure import KINDS

PositionKind = Literal["learned", "sinusoidal", "rope", "alibi", "t5", "none"]
ScalingKind = Literal["none", "linear", "llama3", "yarn"]
NormKind = Literal["rmsnorm", "layernorm"]
NormPlacement = Literal["before", "after", "around", "residual"]
StepMask = Literal["causal", "flow", "inductive"]
StepPositions = Literal["plain", "restart", "random"]
FeedForwardKind = Literal["relu", "relu2", "gelu", "swiglu", "geglu"]


@dataclass(frozen=True)
class LatentConfig:
    """Multi-head latent attention (DeepSeek-V2, Liu et al. 2024, arXiv 2405.04434).

    Keys and values of all heads are computed from one short vector per token, and only that vector
    is cached: ``kv_rank`` numbers, plus ``rope_dim`` of a key that carries the position and that
    all heads share. ``kv_rank`` 0 means ordinary attention. ``q_rank`` compresses the queries in
    the same way (0: not). ``content_dim`` and ``value_dim`` are the widths of one head's key and
    value; with its position, a key or query is ``content_dim + rope_dim`` wide.
    """

    kv_rank: int = 0
    q_rank: int = 0
    content_dim: int = 128
    rope_dim: int = 64
    value_dim: int = 128


@dataclass(frozen=True)
class AttentionConfig:
    """How tokens attend to each other (Vaswani et al. 2017, arXiv 1706.03762).

    ``n_kv_heads`` < ``n_heads`` is grouped-query attention (Ainslie et al. 2023, 2305.13245):
    several query heads share one key/value head, and the KV cache shrinks by that factor; 0 means
    as many as ``n_heads`` (plain multi-head attention). ``head_dim`` 0 means ``d_model/n_heads``.
    ``qk_norm`` normalises every query and key to keep the scores bounded (Henry et al. 2020,
    2010.04245), each head by itself, or over ``"all"`` heads at once as OLMo 2 does. ``bias`` adds
    biases to the query, key and value projections, ``output_bias`` to the last one.

    ``window`` > 0 lets a token see only itself and the ``window - 1`` before it (Beltagy et al.
    2020, 2004.05150), except in every ``global_every``-th layer, if that is above 0. ``scale``
    multiplies the scores; 0 means 1/√(width of a key).
    """

    n_heads: int = 4
    n_kv_heads: int = 0
    head_dim: int = 0
    qk_norm: bool = True
    qk_norm_over: Literal["head", "all"] = "head"
    bias: bool = False
    output_bias: bool = False
    window: int = 0
    global_every: int = 0
    scale: float = 0.0
    latent: LatentConfig = field(default_factory=LatentConfig)


@dataclass(frozen=True)
class RopeScaling:
    """Extending RoPE beyond the length it was trained on, without new parameters.

    ``linear`` slows every rotation by ``factor`` (Chen et al. 2023, arXiv 2306.15595). ``llama3``
    slows only those that turn less than ``low_frequency`` times over ``original_tokens``, keeps
    those that turn more than ``high_frequency`` times, and blends between (Grattafiori et al. 2024,
    2407.21783). ``yarn`` blends likewise between ``beta_slow`` and ``beta_fast`` turns, and
    sharpens the attention by ``0.1·ln(factor)+1`` (Peng et al. 2023, 2309.00071);
    ``sharpness`` and ``sharpness_all`` are DeepSeek's ``mscale`` and ``mscale_all_dim``, and
    ``whole_dims`` rounds the blend's borders to whole dimensions.
    """

    kind: ScalingKind = "none"
    factor: float = 1.0
    original_tokens: int = 8192
    low_frequency: float = 1.0
    high_frequency: float = 4.0
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    sharpness: float = 0.0
    sharpness_all: float = 0.0
    whole_dims: bool = True


@dataclass(frozen=True)
class PositionConfig:
    """How the model knows the order of tokens.

    ``rope`` rotates queries and keys by an angle proportional to position (Su et al. 2021,
    2104.09864); ``rope_theta`` is its longest wavelength divided by 2π. ``alibi`` lowers every
    score by the distance times a fixed slope per head (Press et al. 2021, 2108.12409).
    ``t5`` adds a trained number per head and bucket of distances (Raffel et al. 2019, 1910.10683).
    ``learned`` adds a trained vector per position (GPT-2), ``sinusoidal`` a fixed one (Vaswani et
    al. 2017), ``none`` nothing at all (the causal mask alone leaks order; Kazemnejad et al. 2023,
    2305.19466).

    ``scaling`` extends RoPE in layers that see everything; layers with a window keep plain RoPE
    with ``local_theta`` (0: ``rope_theta``). Every ``nope_every``-th layer (0: none) has no RoPE.
    """

    kind: PositionKind = "rope"
    rope_theta: float = 10_000.0
    local_theta: float = 0.0
    nope_every: int = 0
    scaling: RopeScaling = field(default_factory=RopeScaling)


@dataclass(frozen=True)
class FeedForwardConfig:
    """The per-token network between attentions.

    ``relu`` is the original; ``relu2`` is ReLU squared (So et al. 2021, 2109.08668), ``gelu``
    GPT-2's tanh form (Hendrycks & Gimpel 2016, 1606.08415), ``swiglu`` a gate through SiLU
    and ``geglu`` one through GELU (Shazeer 2020, 2002.05202). ``d_hidden`` 0 means ``4 * d_model``.
    """

    kind: FeedForwardKind = "relu2"
    d_hidden: int = 0
    bias: bool = False


@dataclass(frozen=True)
class ExpertsConfig:
    """A mixture of experts in place of one feed-forward network (Shazeer et al. 2017, 1701.06538).

    Each token is sent to the ``n_active`` of ``n_experts`` networks (``d_hidden`` wide) that a
    router scores highest, and to ``n_shared`` further ones that all tokens use (DeepSeekMoE, Dai et
    al. 2024, 2401.06066). ``n_experts`` 0 means one dense network; the first ``n_dense_layers``
    layers always have that.

    ``score`` turns the router's logits into weights; ``normalise`` divides the chosen ones by
    their sum, ``scale`` multiplies them. ``balance`` balances the experts without a loss term: a
    bias, added to the scores for the choice only, is raised for idle and lowered for busy experts
    after every step (Wang et al. 2024, 2408.15664). With ``n_groups`` > 1 only the best
    ``n_active_groups`` groups of neighbouring experts are considered.
    """

    n_experts: int = 0
    n_active: int = 2
    n_shared: int = 0
    d_hidden: int = 0
    n_dense_layers: int = 0
    score: Literal["softmax", "sigmoid"] = "softmax"
    normalise: bool = True
    scale: float = 1.0
    balance: bool = True
    n_groups: int = 1
    n_active_groups: int = 1


@dataclass(frozen=True)
class ReasoningConfig:
    """What attention knows about the steps of a chain of thought; by default nothing.

    ``mask`` says what a token of step *i* sees beside the question and its own step. ``causal``:
    everything before it. ``flow``: of earlier steps only the conclusions, that is the result and
    the ``<|step|>`` behind it. ``inductive``: also the whole of the step before (as in the
    inductive scratchpad of Abbe et al. 2024, arXiv 2406.06467).

    ``positions`` are ``plain``, or begin again with every step (``restart``, right after the
    question), or have ``random`` gaps before sentences and steps in training, so that positions
    beyond the longest training chain are trained too (after Ruoss et al. 2023, 2305.16843);
    answers are written without gaps. ``step_bias`` adds to every score a number learned for each
    head, distance in steps and role of the key.

    ``token_kinds`` has a letter for each token of the vocabulary (``step_structure.KINDS``); it is
    taken from the tokenizer, as ``vocab_size`` is.
    """

    mask: StepMask = "causal"
    positions: StepPositions = "plain"
    step_bias: bool = False
    token_kinds: str = ""

    @property
    def reads_steps(self) -> bool:
        """Whether the model has to know the segment and role of every token."""
        return self.mask != "causal" or self.positions == "restart" or self.step_bias


@dataclass(frozen=True)
class LayerPlan:
    """The settings in which layers of one model differ. ``window`` 0 sees everything."""

    window: int
    rotary: Literal["global", "local", "none"]
    experts: bool


@dataclass(frozen=True)
class ModelConfig:
    """One decoder-only transformer. ``vocab_size`` 0 means: taken from the tokenizer.

    ``max_tokens`` is the context length in tokens; longer inputs are refused. ``tie_embeddings``
    uses the embedding matrix as the output layer as well (Press & Wolf 2017, 1608.05859).
    ``scale_embedding`` multiplies embeddings by √d_model; ``embedding_norm`` normalises them.

    ``norm_placement`` says where a block normalises around a branch *f*: ``before`` is
    x + f(norm(x)), ``after`` x + norm(f(x)), ``around`` x + norm(f(norm(x))), and ``residual``
    the original norm(x + f(x)), which needs no ``final_norm`` (Xiong et al. 2020, 2002.04745,
    on why ``before`` trains more easily).
    """

    vocab_size: int = 0
    max_tokens: int = 512
    d_model: int = 128
    n_layers: int = 4
    norm: NormKind = "rmsnorm"
    norm_eps: float = 1e-5
    norm_placement: NormPlacement = "before"
    final_norm: bool = True
    tie_embeddings: bool = True
    scale_embedding: bool = False
    embedding_norm: bool = False
    attention: AttentionConfig = field(default_factory=AttentionConfig)
    positions: PositionConfig = field(default_factory=PositionConfig)
    feed_forward: FeedForwardConfig = field(default_factory=FeedForwardConfig)
    experts: ExpertsConfig = field(default_factory=ExpertsConfig)
    reasoning: ReasoningConfig = field(default_factory=ReasoningConfig)

    def __post_init__(self) -> None:
        self._check_sizes()
        self._check_attention()
        self._check_experts()
        self._check_reasoning()

    def _check_sizes(self) -> None:
        for name in ("d_model", "n_layers", "max_tokens"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name, value in (
            ("vocab_size", self.vocab_size),
            ("attention.head_dim", self.attention.head_dim),
            ("attention.window", self.attention.window),
            ("attention.global_every", self.attention.global_every),
            ("attention.scale", self.attention.scale),
            ("positions.local_theta", self.positions.local_theta),
            ("positions.nope_every", self.positions.nope_every),
            ("feed_forward.d_hidden", self.feed_forward.d_hidden),
        ):
            if not value >= 0:
                raise ValueError(f"{name} must not be negative, not {value}")
        for name, number in (
            ("norm_eps", self.norm_eps),
            ("positions.rope_theta", self.positions.rope_theta),
            ("positions.scaling.factor", self.positions.scaling.factor),
            ("positions.scaling.original_tokens", self.positions.scaling.original_tokens),
        ):
            if not number > 0:
                raise ValueError(f"{name} must be above 0, not {number}")

    def _check_attention(self) -> None:
        heads, kv_heads = self.attention.n_heads, self.n_kv_heads
        if heads < 1 or kv_heads < 1 or heads % kv_heads:
            raise ValueError(
                f"attention.n_heads ({heads}) must be a positive multiple of "
                f"attention.n_kv_heads ({kv_heads})"
            )
        latent = self.attention.latent
        if latent.kv_rank:
            if min(latent.kv_rank, latent.content_dim, latent.value_dim) < 1 or latent.q_rank < 0:
                raise ValueError("the ranks and widths of attention.latent must be above 0")
            if self.attention.qk_norm or self.attention.bias or kv_heads != heads:
                raise ValueError(
                    "attention.latent needs qk_norm = false, bias = false and n_kv_heads = 0: "
                    "latent attention norms its latents and has its own keys"
                )
            if self.positions.kind != "rope" and latent.rope_dim:
                raise ValueError("attention.latent.rope_dim must be 0 for positions without RoPE")
            if self.attention.window or self.positions.nope_every:
                raise ValueError("attention.latent goes with neither window nor nope_every")
        elif not self.attention.head_dim and self.d_model % heads:
            raise ValueError(
                f"d_model ({self.d_model}) must be divisible by attention.n_heads ({heads}), "
                "or attention.head_dim must be given"
            )
        if self.positions.kind == "rope" and self.rotary_dim % 2:
            raise ValueError(f"RoPE turns pairs: head_dim must be even, not {self.rotary_dim}")
        if self.positions.kind == "sinusoidal" and self.d_model % 2:
            raise ValueError(f"sinusoidal positions need an even d_model, not {self.d_model}")

    def _check_experts(self) -> None:
        experts = self.experts
        if not experts.n_experts:
            return
        if not 1 <= experts.n_active <= experts.n_experts:
            raise ValueError(
                f"experts.n_active must lie between 1 and n_experts ({experts.n_experts}), "
                f"not {experts.n_active}"
            )
        if experts.d_hidden < 1 or experts.n_shared < 0 or experts.n_dense_layers < 0:
            raise ValueError("experts.d_hidden must be above 0, the other counts not negative")
        if not 1 <= experts.n_active_groups <= experts.n_groups or (
            experts.n_experts % experts.n_groups
        ):
            raise ValueError(
                "experts.n_groups must divide n_experts, and n_active_groups not exceed it"
            )
        in_groups = experts.n_active_groups * experts.n_experts // experts.n_groups
        if experts.n_active > in_groups:
            raise ValueError(f"experts.n_active exceeds the {in_groups} of the active groups")
        if self.feed_forward.kind not in ("swiglu", "geglu") or self.feed_forward.bias:
            raise ValueError("experts are gated networks: feed_forward.kind swiglu, bias false")

    def _check_reasoning(self) -> None:
        reasoning, kinds = self.reasoning, self.reasoning.token_kinds
        if not set(kinds) <= set(KINDS) or (kinds and len(kinds) != self.vocab_size):
            raise ValueError(
                f"reasoning.token_kinds must have one letter of {KINDS!r} for each of the "
                f"{self.vocab_size} tokens"
            )
        if reasoning.positions != "plain" and self.positions.kind not in ("rope", "sinusoidal"):
            raise ValueError(
                f"reasoning.positions = {reasoning.positions!r} needs positions.kind rope or "
                f"sinusoidal, not {self.positions.kind}"
            )
        if reasoning.reads_steps and (
            self.attention.window or self.positions.kind in ("alibi", "t5")
        ):
            raise ValueError(
                "reasoning.mask, positions and step_bias go with neither attention.window nor "
                "positions.kind alibi or t5"
            )

    @property
    def n_kv_heads(self) -> int:
        """Number of key/value heads, K."""
        return self.attention.n_kv_heads or self.attention.n_heads

    @property
    def head_dim(self) -> int:
        """Width of one head's key, E."""
        latent = self.attention.latent
        if latent.kv_rank:
            return latent.content_dim + latent.rope_dim
        return self.attention.head_dim or self.d_model // self.attention.n_heads

    @property
    def rotary_dim(self) -> int:
        """How many of a key's coordinates RoPE turns."""
        latent = self.attention.latent
        return latent.rope_dim if latent.kv_rank else self.head_dim

    @property
    def d_hidden(self) -> int:
        """Width of the feed-forward network's inner layer."""
        return self.feed_forward.d_hidden or 4 * self.d_model

    @property
    def cached_heads(self) -> int:
        """Heads of the vectors that the KV cache holds."""
        return 1 if self.attention.latent.kv_rank else self.n_kv_heads

    @property
    def cached_widths(self) -> tuple[int, ...]:
        """Widths of the vectors cached for a token and cached head: key and value, or one latent
        that serves as both."""
        latent = self.attention.latent
        if latent.kv_rank:
            return (latent.kv_rank + latent.rope_dim,)
        return (self.head_dim, self.head_dim)

    def layer(self, index: int) -> LayerPlan:
        """The settings of layer ``index`` (from 0)."""

        def every(nth: int) -> bool:
            return nth > 0 and (index + 1) % nth == 0

        attention, positions = self.attention, self.positions
        window = 0 if every(attention.global_every) else attention.window
        rotary: Literal["global", "local", "none"] = "local" if window else "global"
        if positions.kind != "rope" or every(positions.nope_every):
            rotary = "none"
        experts = self.experts.n_experts > 0 and index >= self.experts.n_dense_layers
        return LayerPlan(window, rotary, experts)
