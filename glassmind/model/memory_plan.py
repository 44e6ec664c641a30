"""What training keeps in memory, from a config alone: the state of weights, and activations.

Two things fill a GPU. The *state* has a fixed number of bytes per parameter: weights, their
gradients, and the optimizer's moments. *Activations* grow with the tokens of a micro-batch: they
are what the forward pass computes and the backward pass needs. Nothing here is allocated; tests
compare the formulas with counted bytes of small real models.

Shapes: D d_model, H heads, K kv heads, E head_dim, F d_hidden, V vocab, X experts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from glassmind.model.config import ModelConfig
from glassmind.model.counting import flops_per_token
from glassmind.model.feed_forward import GATED

Arithmetic = Literal["float32", "bfloat16"]
Stage = Literal[0, 1, 2, 3]


@dataclass(frozen=True)
class StateBytes:
    """Bytes for each parameter: ``working`` copies for fast products, ``gradient``, ``master``
    weights that the optimizer moves, and the optimizer's ``moments``."""

    working: int
    gradient: int
    master: int
    moments: int

    @property
    def total(self) -> int:
        return self.working + self.gradient + self.master + self.moments

    def per_gpu(self, n_parameters: float, stage: Stage, n_gpus: int) -> float:
        """Bytes on each of ``n_gpus`` when ZeRO's ``stage`` splits the state between them.

        Rajbhandari et al. 2019 (arXiv 1910.02054, §5): stage 1 splits what only the optimizer
        needs, stage 2 the gradients too, stage 3 (what FSDP does) everything; 0 splits nothing.
        """
        optimizer = (self.master + self.moments) / (n_gpus if stage >= 1 else 1)
        gradient = self.gradient / (n_gpus if stage >= 2 else 1)
        working = self.working / (n_gpus if stage >= 3 else 1)
        return n_parameters * (optimizer + gradient + working)


# The paper's mixed precision, with everything but the optimizer's state in 16 bits.
ZERO_PAPER = StateBytes(working=2, gradient=2, master=4, moments=8)
# This trainer: float32 weights and gradients; bfloat16 copies exist during a step only. Muon keeps
# one moment instead of AdamW's two, 4 bytes less for each matrix weight.
IN_FLOAT32 = StateBytes(working=0, gradient=4, master=4, moments=8)
IN_BFLOAT16 = StateBytes(working=2, gradient=4, master=4, moments=8)


def activation_bytes(config: ModelConfig, arithmetic: Arithmetic = "bfloat16") -> float:
    """Bytes that one layer keeps of each token until the backward pass has used them.

    Counted as Korthikanti et al. 2022 (arXiv 2205.05198, §4.1) do: the input of every matrix
    product, of every norm and of every non-linearity is kept once. In 16-bit numbers this gives
    their 34 D for GPT, without their dropout masks; their 5·H·T of attention scores are not stored
    here, because fused attention (Dao et al. 2022, 2205.14135) recomputes them.

    ``bfloat16`` is the trainer's autocast: the residual stream and norms stay in float32, and every
    product that reads a norm makes its own 16-bit copy. An RMSNorm also keeps its normalised input
    (a fused kernel would not, so this may be too high). If layers differ, the result is their mean.
    Latent attention and experts are counted to within about 15 %.
    """
    wide, narrow = 4, 4 if arithmetic == "float32" else 2
    norms = {"before": 2, "after": 2, "residual": 2, "around": 4}[config.norm_placement]
    kept_by_norm = 2 if config.norm == "rmsnorm" else 1
    sparse = sum(config.layer(index).experts for index in range(config.n_layers)) / config.n_layers
    return (
        norms * kept_by_norm * config.d_model * wide
        + _attention_bytes(config, wide, narrow)
        + (1 - sparse) * _dense_bytes(config, config.d_hidden, wide, narrow)
        + sparse * _sparse_bytes(config, wide, narrow)
    )


def logits_bytes(config: ModelConfig, tokens: int) -> float:
    """Bytes of the logits of ``tokens`` tokens at once: as computed in 16 bits, as float32 for the
    softmax, and their gradient."""
    return tokens * config.vocab_size * (2 + 4 + 4)


def training_flops(config: ModelConfig, sequence: int) -> float:
    """Operations to train on one token, the mean over a text of ``sequence`` tokens.

    Three forward passes' worth (see ``counting.flops_per_token``); token *i* attends to the *i*
    before it, or to its window's. Recomputing activations costs one more forward pass, a third.
    """
    without = flops_per_token(config, 0)
    a_key = (flops_per_token(config, 1) - without) / config.n_layers
    seen = 0.0
    for index in range(config.n_layers):
        window = min(config.layer(index).window or sequence, sequence)
        seen += (window * (window + 1) / 2 + (sequence - window) * window) / sequence
    return 3 * (without + a_key * seen)


def _attention_bytes(config: ModelConfig, wide: int, narrow: int) -> float:
    """Everything from the projections' input to the heads' output, the last product's input."""
    attention, latent = config.attention, config.attention.latent
    heads, queries = attention.n_heads, attention.n_heads * config.head_dim
    readers = 1 if wide == narrow else 2 if latent.kv_rank else 3
    inputs = readers * config.d_model * narrow + heads * wide  # and the softmax's sums
    if latent.kv_rank:
        ranks = latent.kv_rank + latent.q_rank
        return inputs + (4 * queries + 2 * heads * latent.value_dim + 3 * ranks) * narrow
    keys = config.n_kv_heads * config.head_dim
    normed = 2 * (queries + keys) * wide if attention.qk_norm else 0
    return inputs + normed + 2 * (queries + keys) * narrow


def _dense_bytes(config: ModelConfig, d_hidden: int, wide: int, narrow: int) -> float:
    """A feed-forward network: its input, and what the backward pass of its kind needs."""
    gated = config.feed_forward.kind in GATED
    readers = 2 if gated and wide != narrow else 1
    of_hidden = 4 if gated else 1 if config.feed_forward.kind == "relu" else 2
    return (readers * config.d_model + of_hidden * d_hidden) * narrow


def _sparse_bytes(config: ModelConfig, wide: int, narrow: int) -> float:
    """A mixture: the router's input and scores, and each chosen expert's own copy of the token."""
    experts = config.experts
    router = config.d_model * wide + 2 * experts.n_experts * wide
    output = config.d_model * narrow  # is multiplied by the router's weight
    chosen = experts.n_active * (_dense_bytes(config, experts.d_hidden, wide, narrow) + output)
    shared = experts.d_hidden * experts.n_shared
    return router + chosen + (_dense_bytes(config, shared, wide, narrow) if shared else 0)
