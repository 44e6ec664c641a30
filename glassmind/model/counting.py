"""What a model costs, from its config alone: parameters, arithmetic, memory of the KV cache.

Three numbers describe most of an architecture's costs. *Parameters* have to be stored and bound
what a model can know. *FLOPs per token* are the cost of computing; a mixture of experts makes them
smaller than the parameters suggest. *KV bytes* are kept for every token that was read; grouped
queries, windows and latents reduce them.

All of them follow from the shapes of the matrices, so nothing is built or allocated here, and
671 billion parameters are counted as fast as a thousand. Shapes: D d_model, H heads, K kv heads,
E head_dim, V vocab, X experts.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from glassmind.model.config import ModelConfig
from glassmind.model.feed_forward import GATED
from glassmind.model.positions import position_parameters


@dataclass(frozen=True)
class Parameters:
    """Numbers of parameters by what they do.

    ``embedding`` includes trained positions; ``output`` is 0 if the embedding is the output layer
    too. ``idle`` is the part of ``feed_forward`` in experts that one token does not use.
    """

    embedding: int
    attention: int
    feed_forward: int
    router: int
    norms: int
    output: int
    idle: int

    @property
    def total(self) -> int:
        """All that has to be stored."""
        return sum(getattr(self, part.name) for part in fields(self) if part.name != "idle")

    @property
    def active(self) -> int:
        """The parameters that one token uses: ``total`` without the experts it is not sent to."""
        return self.total - self.idle


def parameters(config: ModelConfig) -> Parameters:
    """Count the parameters of a ``Transformer(config)``, exactly."""
    width, experts = config.d_model, config.experts
    norm = _norm(config, width)
    norms_a_block = {"before": 2, "after": 2, "residual": 2, "around": 4}[config.norm_placement]
    sparse, dense = _sparse_and_dense_layers(config)
    expert = 3 * width * experts.d_hidden
    feed_forward = _feed_forward_matrices(config)
    if config.feed_forward.bias:
        feed_forward += (2 if config.feed_forward.kind in GATED else 1) * config.d_hidden + width
    return Parameters(
        embedding=config.vocab_size * width + position_parameters(config),
        attention=config.n_layers * (_attention_matrices(config) + _attention_extras(config)),
        feed_forward=dense * feed_forward
        + sparse * (experts.n_experts + experts.n_shared) * expert,
        router=sparse * experts.n_experts * (width + experts.balance),
        norms=norm * (config.n_layers * norms_a_block + config.final_norm + config.embedding_norm),
        output=0 if config.tie_embeddings else config.vocab_size * width,
        idle=sparse * (experts.n_experts - experts.n_active) * expert,
    )


def flops_per_token(config: ModelConfig, context: int) -> int:
    """Floating-point operations of one forward pass for the last of ``context`` tokens.

    A multiply and an add are two operations, so every weight of a matrix costs 2 for each token,
    and attention costs each head 2 for every coordinate of every key and value: ``context`` of
    them, or the window if that is smaller. Norms, activations and softmax are left out, as is
    usual; they are a few percent.

    Training costs 3 times as much: in the backward pass every matrix is multiplied twice, once for
    the gradient of its input and once for its own. The well-known "6 N per token" (Kaplan et al.
    2020, arXiv 2001.08361) is this with N weights outside the embeddings and without attention over
    keys. It is accurate while the context is short compared with ``d_model`` and too low for longer
    ones; for a mixture of experts, N are the active weights. Averaged over a text, where token *i*
    sees only *i* others, attention over keys costs half of what it costs the last token.

    Latent attention is counted as it runs over a whole text. With a cache, old keys are not
    unpacked, but keys are wider: see ``latent_attention.py``.
    """
    experts, latent = config.experts, config.attention.latent
    sparse, dense = _sparse_and_dense_layers(config)
    expert = 3 * config.d_model * experts.d_hidden
    weights = (
        config.n_layers * _attention_matrices(config)
        + dense * _feed_forward_matrices(config)
        + sparse * (experts.n_active + experts.n_shared) * expert
        + sparse * experts.n_experts * config.d_model
        + config.vocab_size * config.d_model
    )
    value_dim = latent.value_dim if latent.kv_rank else config.head_dim
    seen = sum(
        min(context, window) if window else context
        for window in (config.layer(index).window for index in range(config.n_layers))
    )
    return 2 * weights + 2 * config.attention.n_heads * (config.head_dim + value_dim) * seen


def kv_bytes(config: ModelConfig, tokens: int, bytes_per_number: int = 2) -> int:
    """Bytes that the KV cache of one sequence holds after ``tokens`` tokens.

    A layer keeps a key and a value for each kv head, or one latent for all heads; a layer with a
    window keeps no more than the ``window - 1`` tokens that the next one may still see.
    ``bytes_per_number`` is 2 for float16 and bfloat16. Each further token adds
    ``kv_bytes(config, 1)`` until a window is full.
    """
    a_layer = config.cached_heads * sum(config.cached_widths) * bytes_per_number
    kept = sum(
        min(tokens, window - 1) if window else tokens
        for window in (config.layer(index).window for index in range(config.n_layers))
    )
    return a_layer * kept


def _sparse_and_dense_layers(config: ModelConfig) -> tuple[int, int]:
    """How many layers have experts, and how many one feed-forward network."""
    sparse = sum(config.layer(index).experts for index in range(config.n_layers))
    return sparse, config.n_layers - sparse


def _norm(config: ModelConfig, width: int) -> int:
    return width if config.norm == "rmsnorm" else 2 * width


def _feed_forward_matrices(config: ModelConfig) -> int:
    matrices = 3 if config.feed_forward.kind in GATED else 2
    return matrices * config.d_model * config.d_hidden


def _attention_matrices(config: ModelConfig) -> int:
    """The weights of one layer's projections, without biases and norms."""
    heads, width, latent = config.attention.n_heads, config.d_model, config.attention.latent
    if not latent.kv_rank:
        return 2 * width * config.head_dim * (heads + config.n_kv_heads)
    queries = heads * config.head_dim
    from_input = width * queries
    if latent.q_rank:
        from_input = width * latent.q_rank + latent.q_rank * queries
    down = width * (latent.kv_rank + latent.rope_dim)
    unpack = latent.kv_rank * heads * (latent.content_dim + latent.value_dim)
    return from_input + down + unpack + heads * latent.value_dim * width


def _attention_extras(config: ModelConfig) -> int:
    """One layer's biases and norms of queries, keys and latents."""
    attention, latent = config.attention, config.attention.latent
    output_bias = config.d_model if attention.output_bias else 0
    if latent.kv_rank:
        q_norm = _norm(config, latent.q_rank) if latent.q_rank else 0
        return q_norm + _norm(config, latent.kv_rank) + output_bias
    queries, keys = attention.n_heads * config.head_dim, config.n_kv_heads * config.head_dim
    biases = (queries + 2 * keys if attention.bias else 0) + output_bias
    if not attention.qk_norm:
        return biases
    widths = (queries, keys) if attention.qk_norm_over == "all" else (config.head_dim,) * 2
    return biases + sum(_norm(config, each) for each in widths)
