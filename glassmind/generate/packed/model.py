"""A model made ready for generation: weights packed, and one call for all of its blocks.

``pack_model`` takes a snapshot of a ``Transformer``. What the snapshot computes is what
``model/transformer.py`` says, with the weights as ``packed_matrix`` rounds them. But where that
file runs some thirty small operations of PyTorch a block, each of which costs microseconds however
few tokens there are, Python here calls ``kernels/decoder.hpp`` once for all blocks.

A snapshot does not follow its model: pack again after training.
"""

from __future__ import annotations

import copy
import ctypes
from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor, nn

from glassmind.errors import UserError
from glassmind.generate.cache.paged_cache import PagedCache
from glassmind.generate.packed import native_calls
from glassmind.generate.packed.matrix import PackedMatrix, WeightKind
from glassmind.generate.packed.native_calls import STORED, at, calls
from glassmind.model import ModelConfig, Transformer
from glassmind.model.attention import Attention
from glassmind.model.feed_forward import GATED, FeedForward
from glassmind.model.quantized import QuantizedLinear
from glassmind.model.transformer import Block

_ACTIVATIONS = {"relu": 0, "relu2": 1, "gelu": 2, "geglu": 2, "swiglu": 3}


def pack_model(model: Transformer, weights: WeightKind = "float32") -> PackedModel | Transformer:
    """``model`` with weights of that kind, ready for an ``Engine``.

    What only the ``Transformer`` can compute stays one: float32 weights are then used where they
    are, and others refused (``UserError``). So it is without a C++ compiler, but there other kinds
    are rounded, too: the result is that of a packed model, though neither small nor fast.
    """
    reason = why_not(model)
    if reason is None and calls() is not None:
        return PackedModel(model, weights)
    if weights == "float32":
        return model
    if reason is not None:
        raise UserError(f"{weights} weights are for plain decoders on a CPU, but {reason}")
    return rounded(model, weights)


def why_not(model: Transformer) -> str | None:
    """What keeps ``model`` from being packed."""
    config = model.config
    if model.embed.weight.device.type != "cpu":
        return f"this model is on {model.embed.weight.device.type}"
    if config.attention.latent.kv_rank:
        return "this model has latent attention"
    if config.experts.n_experts:
        return "this model is a mixture of experts"
    if config.norm_placement == "residual":
        return "this model normalises the residual stream itself"
    for name, linear in _linears(model):
        if not isinstance(linear, nn.Linear | QuantizedLinear):
            return f"its {name} is not a plain matrix (merge adapters first)"
    return None


def head_kind(weights: WeightKind) -> WeightKind:
    """How the output matrix is kept, often the embedding too: it is the one that four bits hurt
    most, since its errors reach the scores with no layer behind to make up for them."""
    return "int8" if weights == "int4" else weights


def rounded(model: Transformer, weights: WeightKind) -> Transformer:
    """A copy of ``model`` whose matrices hold what ``weights`` leaves of them, float32."""
    copied = copy.deepcopy(model).float().eval()
    with torch.no_grad():
        for _, linear in _linears(copied):
            assert isinstance(linear, nn.Linear)
            kind = head_kind(weights) if linear is copied.unembed else weights
            linear.weight.copy_(PackedMatrix(linear.weight, kind).unpack())
    return copied


def _linears(model: Transformer) -> Iterator[tuple[str, nn.Module]]:
    for index, block in enumerate(cast("list[Block]", list(model.blocks))):
        attention, network = block.attention, block.feed_forward
        for name, module in (*attention.named_children(), *network.named_children()):
            if name in ("query", "key", "value", "output", "up", "gate", "down"):
                yield f"blocks.{index}.{name}", module
    yield "unembed", model.unembed


class PackedModel:
    """What the engine needs of a model, from a snapshot of ``model``. Everything is float32 but
    the weights of matrices."""

    def __init__(self, model: Transformer, weights: WeightKind) -> None:
        self.config: ModelConfig = model.config
        self.weights: WeightKind = weights
        self._kept: list[Tensor | PackedMatrix] = []  # whatever the structures point to
        self._unembed = self._matrix(model.unembed, kind=head_kind(weights))
        tied = model.unembed.weight is model.embed.weight
        self._embedding = self._unembed if tied else model.embed.weight.detach().clone()
        self._scale = model.embedding_scale
        self._positions = copy.deepcopy(model.absolute_positions)
        self._embedding_norm = copy.deepcopy(model.embedding_norm)
        blocks = cast("list[Block]", list(model.blocks))
        self._layers = (native_calls.Layer * len(blocks))(
            *(self._layer(model, block) for block in blocks)
        )
        attention, config = cast(Attention, blocks[0].attention), model.config
        self._decoder = native_calls.Decoder(
            ctypes.addressof(self._layers), self._norm(model.final_norm), len(blocks),
            config.d_model, attention.n_heads, config.n_kv_heads, config.head_dim, config.d_hidden,
            config.norm == "layernorm", attention.norm_all_heads,
            _ACTIVATIONS[config.feed_forward.kind], config.feed_forward.kind in GATED,
            config.norm_eps, attention.scale,
        )  # fmt: skip

    @property
    def n_bytes(self) -> int:
        """Bytes that the packed matrices take: what a pass over one token fetches."""
        return sum(part.n_bytes for part in self._kept if isinstance(part, PackedMatrix))

    def hidden(self, ids_1T: Tensor, /, *, positions: Tensor, cache: PagedCache) -> Tensor:
        """The final hidden states, (1, T, D), of tokens that ``cache`` expects."""
        x_TD = self._embed(ids_1T[0])
        if self._positions is not None:
            x_TD = x_TD + self._positions(positions)
        if self._embedding_norm is not None:
            x_TD = self._embedding_norm(x_TD)
        x_TD = x_TD.float().contiguous()
        native = calls()
        assert native is not None
        native.decode_tokens(
            STORED[cache.layers[0].keys.dtype], ctypes.byref(self._decoder),
            ctypes.byref(cache.native_layers), ctypes.byref(cache.places.native()),
            positions.data_ptr(), len(x_TD), x_TD.data_ptr(),
        )  # fmt: skip
        return x_TD[None]

    def logits(self, hidden_TD: Tensor, /) -> Tensor:
        """(T, D) hidden states -> (T, V) unnormalised log-probabilities of the next token."""
        return self._unembed(hidden_TD)

    def _embed(self, ids_T: Tensor) -> Tensor:
        """(T, D), the caller's own."""
        if isinstance(self._embedding, PackedMatrix):
            return self._embedding.rows(ids_T) * self._scale
        return self._embedding[ids_T] * self._scale

    def _layer(self, model: Transformer, block: Block) -> native_calls.Layer:
        attention = cast(Attention, block.attention)
        network = cast(FeedForward, block.feed_forward)
        up = [network.up] if network.gate is None else [network.up, network.gate]
        rotary = model.rotary_positions
        cos, sin = None, None
        if rotary is not None and block.plan.rotary != "none":
            local = block.plan.rotary == "local" and rotary.has_local
            cos, sin = (rotary.local_cos, rotary.local_sin) if local else (rotary.cos, rotary.sin)
        return native_calls.Layer(
            self._norm(block.attention_norm), self._norm(attention.query_norm),
            self._norm(attention.key_norm), self._norm(block.attention_out_norm),
            self._norm(block.feed_forward_norm), self._norm(block.feed_forward_out_norm),
            self._matrix(attention.query, attention.key, attention.value).native,
            self._matrix(attention.output).native, self._matrix(*up).native,
            self._matrix(network.down).native, self._vector(cos), self._vector(sin),
            self._vector(attention.slopes), attention.window,
        )  # fmt: skip

    def _matrix(self, *linears: nn.Module, kind: WeightKind | None = None) -> PackedMatrix:
        """Matrices that read the same, one below the other."""
        parts = cast("list[nn.Linear]", list(linears))
        biases: list[Tensor] = [part.bias for part in parts if part.bias is not None]
        weight = torch.cat([part.weight.detach().float() for part in parts])
        packed = PackedMatrix(weight, kind or self.weights, torch.cat(biases) if biases else None)
        self._kept.append(packed)
        return packed

    def _norm(self, norm: nn.Module | None) -> native_calls.Norm:
        if norm is None:
            return native_calls.Norm()
        return native_calls.Norm(
            self._vector(cast(Tensor, norm.weight)),
            self._vector(cast("Tensor | None", getattr(norm, "bias", None))),
        )

    def _vector(self, numbers: Tensor | None) -> int | None:
        if numbers is None:
            return None
        kept = numbers.detach().float().clone().contiguous()
        self._kept.append(kept)
        return at(kept)
