"""A model prepared for generation: packed weights, and one call for all of its blocks.

``model/transformer.py`` defines what a model computes; read it first. It runs about thirty small
PyTorch operations per block, each of which takes microseconds to start however few tokens there
are. ``pack_model`` takes a snapshot of a ``Transformer`` and computes its blocks in one call of
``kernels/decoder.hpp``, with the weights as ``matrix`` rounds them. ``allow_list`` lists what that
call supports, and tests compare it with the modules for every architecture in ``PRESETS``. A model
with anything else keeps its modules.

While a hook is registered on any module of the model, as ``model.probe`` does for each tap, passes
run through modules with the packed weights, so that taps show, and can replace, what is really
computed. The numbers are then equal up to rounding, not to the bit.

A snapshot does not follow its model: after training, ``PackedModel.refresh`` copies the new weights
into it, which takes a fraction of the time of packing again.
"""

from __future__ import annotations

import ctypes
import functools
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.modules import module as all_modules

from glassmind.errors import UserError
from glassmind.generate.cache.paged_attention import places_for_native
from glassmind.generate.cache.paged_cache import PagedCache
from glassmind.generate.packed import native_calls
from glassmind.generate.packed.allow_list import why_not
from glassmind.generate.packed.matrix import PackedMatrix, WeightKind
from glassmind.generate.packed.native_calls import STORED, at, calls
from glassmind.model import ModelConfig, Transformer
from glassmind.model.attention import Attention
from glassmind.model.feed_forward import GATED, FeedForward
from glassmind.model.finite import require_finite
from glassmind.model.norms import make_norm
from glassmind.model.outline import without_numbers
from glassmind.model.transformer import Block

_LOG = logging.getLogger("glassmind.generate")

_ACTIVATIONS = {"relu": 0, "relu2": 1, "gelu": 2, "geglu": 2, "swiglu": 3}

_HOOKS = ("_forward_hooks", "_forward_hooks_with_kwargs", "_forward_hooks_always_called",
          "_forward_pre_hooks", "_forward_pre_hooks_with_kwargs")  # fmt: skip


def pack_model(model: Transformer, weights: WeightKind = "float32") -> PackedModel | Transformer:
    """``model`` with weights of that kind, ready for an ``Engine``.

    If the compiled pass does not support the model, the model itself is returned and the reason is
    logged once; weights other than float32 then raise ``UserError``. Without a C++ compiler, a
    float32 model is returned as it is, and other weights are packed but computed by the modules,
    which saves memory but not time.
    """
    reason = why_not(model)
    if reason is not None:
        if weights != "float32":
            raise UserError(f"{weights} weights are for plain decoders on a CPU, but {reason}")
        _say_once(f"generating with PyTorch's modules: {reason}")
        return model
    if calls() is None and weights == "float32":
        return model
    return PackedModel(model, weights)


@functools.cache
def _say_once(what: str) -> None:
    _LOG.warning("%s", what)


def head_kind(weights: WeightKind) -> WeightKind:
    """The kind of the output matrix, which often is the embedding too.

    It suffers most from 4 bits, because no later layer can compensate for its errors.
    """
    return "int8" if weights == "int4" else weights


Modules = Mapping[str, nn.Module]
"""The modules of a model by their paths."""


@dataclass(frozen=True)
class _Slot:
    """Something packed, and where in a ``Transformer`` it comes from.

    A matrix holds the linear layers ``names``, one below the other; a vector (any other tensor) is
    the parameter or buffer ``names[0]``.
    """

    names: tuple[str, ...]
    packed: PackedMatrix | Tensor


class PackedModel:
    """What the engine needs of a model, from a snapshot of ``model``.

    Everything but the matrices' weights is float32. Raises ``UserError`` for weights that are not
    finite.
    """

    def __init__(self, model: Transformer, weights: WeightKind) -> None:
        self.config: ModelConfig = model.config
        self.weights: WeightKind = weights
        self._slots: list[_Slot] = []
        self._constants: dict[int, Tensor] = {}  # tables that no training changes
        modules = dict(model.named_modules())
        # Of every module, the dictionaries that its hooks are registered in.
        self._hooks = {
            name: {kind: getattr(module, kind) for kind in _HOOKS}
            for name, module in modules.items()
        }
        self._watched: list[dict[int, Callable[..., object]]] = [
            all_modules._global_forward_hooks, all_modules._global_forward_pre_hooks,
            *(of[kind] for of in self._hooks.values() for kind in (_HOOKS[0], _HOOKS[3])),
        ]  # fmt: skip
        self._modules: Transformer | None = None  # made when a hook is registered
        self._unembed = self._matrix(modules, "unembed", kind=head_kind(weights))
        self._tied = model.unembed.weight is model.embed.weight
        self._embedding = self._unembed if self._tied else self._vector(modules, "embed.weight")
        self._scale = model.embedding_scale
        self._positions: Tensor | None = None
        if model.absolute_positions is not None:
            self._positions = self._vector(modules, "absolute_positions.table")
        self._embedding_norm = make_norm(self.config) if self.config.embedding_norm else None
        if self._embedding_norm is not None:
            for name, parameter in self._embedding_norm.named_parameters():
                parameter.data = self._vector(modules, f"embedding_norm.{name}")
            self._embedding_norm.requires_grad_(False)
        self._layers = (native_calls.Layer * self.config.n_layers)(
            *(self._layer(model, modules, index) for index in range(self.config.n_layers))
        )
        config, attention = self.config, cast(Attention, cast(Block, model.blocks[0]).attention)
        self._decoder = native_calls.Decoder(
            ctypes.addressof(self._layers), self._norm(modules, "final_norm"), config.n_layers,
            config.d_model, attention.n_heads, config.n_kv_heads, config.head_dim, config.d_hidden,
            config.norm == "layernorm", attention.norm_all_heads,
            _ACTIVATIONS[config.feed_forward.kind], config.feed_forward.kind in GATED,
            config.norm_eps, attention.scale,
        )  # fmt: skip
        vectors = [slot.packed for slot in self._slots if isinstance(slot.packed, Tensor)]
        require_finite(vectors, "the model")  # each matrix looks at itself

    @property
    def n_bytes(self) -> int:
        """Bytes that the packed matrices take, which a pass over one token reads."""
        matrices = (slot.packed for slot in self._slots if isinstance(slot.packed, PackedMatrix))
        return sum(matrix.n_bytes for matrix in matrices)

    @property
    def native(self) -> int:
        """The address of all blocks, as the compiled loops take them."""
        return ctypes.addressof(self._decoder)

    @property
    def native_unembed(self) -> int:
        """The address of the output matrix, as the compiled loops take it."""
        return ctypes.addressof(self._unembed.native)

    @property
    def embedding(self) -> native_calls.Embedding | None:
        """The embedding, as the compiled loops take it.

        ``None`` if they cannot be used now, or are not able to look tokens up as this model does.
        """
        if calls() is None or any(self._watched) or self._embedding_norm is not None:
            return None
        table, matrix = None, None
        if isinstance(self._embedding, Tensor):
            table = self._embedding.data_ptr()
        elif self._embedding.kind in ("float32", "bfloat16"):
            matrix = ctypes.addressof(self._embedding.native)
        else:
            return None
        return native_calls.Embedding(table, matrix, at(self._positions), self._scale)

    def hidden(self, ids_1T: Tensor, /, *, positions: Tensor, cache: PagedCache) -> Tensor:
        """The final hidden states, (1, T, D), of tokens that ``cache`` expects."""
        native = calls()
        if native is None or any(self._watched):
            return self._as_modules().hidden(ids_1T, positions=positions, cache=cache)
        self._modules = None
        x_TD = self._embed(ids_1T[0])
        if self._positions is not None:
            x_TD = x_TD + self._positions[positions]
        if self._embedding_norm is not None:
            x_TD = self._embedding_norm(x_TD)
        x_TD = x_TD.float().contiguous()
        native.decode_tokens(
            STORED[cache.layers[0].keys.dtype], ctypes.byref(self._decoder),
            ctypes.byref(cache.native_layers), ctypes.byref(places_for_native(cache.places)),
            positions.data_ptr(), len(x_TD), x_TD.data_ptr(),
        )  # fmt: skip
        return x_TD[None]

    def logits(self, hidden_TD: Tensor, /) -> Tensor:
        """(T, D) hidden states -> (T, V) unnormalised log-probabilities of the next token."""
        if any(self._watched):
            return self._as_modules().logits(hidden_TD)
        return self._unembed(hidden_TD)

    def refresh(self, model: Transformer) -> None:
        """Take the weights of ``model``, which has the same config, in place.

        Caches of keys and values of the old weights must be dropped, too; ``Engine.refresh`` does
        both. Raises ``UserError``, before anything is changed, if ``pack_model`` would not pack
        ``model``, and for weights that are not finite.
        """
        tied = model.unembed.weight is model.embed.weight
        if model.config != self.config or tied != self._tied:
            raise UserError("a packed model can only take weights of a model with the same config")
        reason = why_not(model)
        if reason is not None:
            raise UserError(f"these weights cannot be packed: {reason}")
        modules = dict(model.named_modules())
        require_finite(
            [source for slot in self._slots for source in _sources(modules, slot)], "the model"
        )
        self._modules = None
        for slot in self._slots:
            if isinstance(slot.packed, PackedMatrix):
                slot.packed.load(*_matrix_sources(modules, slot.names))
            else:
                slot.packed.copy_(_tensor(modules, slot.names[0]))

    def unpack(self) -> Transformer:
        """A ``Transformer`` with the weights as packed, float32, and the hooks of the original.

        The two share the dictionaries in which hooks are registered, so hooks on the original model
        run in this one, too.
        """
        with without_numbers():
            model = Transformer(self.config)
        model.eval().requires_grad_(False)
        state: dict[str, Tensor] = {}
        for slot in self._slots:
            if isinstance(slot.packed, Tensor):
                state[slot.names[0]] = slot.packed.float()
                continue
            linears = [cast(nn.Linear, model.get_submodule(name)) for name in slot.names]
            sizes = [linear.out_features for linear in linears]
            whole = [slot.packed.unpack(), slot.packed.bias]
            for kind, tensor in zip(("weight", "bias"), whole, strict=True):
                if tensor is not None:
                    parts = tensor.split(sizes)
                    state |= {f"{n}.{kind}": p for n, p in zip(slot.names, parts, strict=True)}
        if self._tied:
            state["embed.weight"] = state["unembed.weight"]
        wanted = model.state_dict().keys()  # without tables, which are made with the model
        model.load_state_dict({name: state[name] for name in wanted}, assign=True)
        if self._tied:
            model.tie()
        for name, module in model.named_modules():
            vars(module).update(self._hooks[name])
        return model

    def _as_modules(self) -> Transformer:
        if self._modules is None:
            self._modules = self.unpack()
        return self._modules

    def _embed(self, ids_T: Tensor) -> Tensor:
        """(T, D), a new tensor."""
        if isinstance(self._embedding, PackedMatrix):
            return self._embedding.rows(ids_T) * self._scale
        return self._embedding[ids_T] * self._scale

    def _layer(self, model: Transformer, modules: Modules, index: int) -> native_calls.Layer:
        block, path = cast(Block, model.blocks[index]), f"blocks.{index}."
        attention = cast(Attention, block.attention)
        up = [f"{path}feed_forward.up"]
        if cast(FeedForward, block.feed_forward).gate is not None:
            up.append(f"{path}feed_forward.gate")
        rotary = model.rotary_positions
        cos, sin = None, None
        if rotary is not None and block.plan.rotary != "none":
            local = block.plan.rotary == "local" and rotary.has_local
            cos, sin = (rotary.local_cos, rotary.local_sin) if local else (rotary.cos, rotary.sin)
        qkv = [f"{path}attention.{name}" for name in ("query", "key", "value")]
        return native_calls.Layer(
            self._norm(modules, f"{path}attention_norm"),
            self._norm(modules, f"{path}attention.query_norm"),
            self._norm(modules, f"{path}attention.key_norm"),
            self._norm(modules, f"{path}attention_out_norm"),
            self._norm(modules, f"{path}feed_forward_norm"),
            self._norm(modules, f"{path}feed_forward_out_norm"),
            self._matrix(modules, *qkv).native,
            self._matrix(modules, f"{path}attention.output").native,
            self._matrix(modules, *up).native,
            self._matrix(modules, f"{path}feed_forward.down").native,
            self._constant(cos), self._constant(sin), self._constant(attention.scoring.slopes_H),
            attention.window,
        )  # fmt: skip

    def _matrix(
        self, modules: Modules, *names: str, kind: WeightKind | None = None
    ) -> PackedMatrix:
        """Matrices that read the same input, one below the other."""
        weight, bias = _matrix_sources(modules, names)
        packed = PackedMatrix(weight, kind or self.weights, bias)
        self._slots.append(_Slot(names, packed))
        return packed

    def _norm(self, modules: Modules, name: str) -> native_calls.Norm:
        if name not in modules:
            return native_calls.Norm()
        parts = [part for part, _ in modules[name].named_parameters()]
        vectors = [self._vector(modules, f"{name}.{part}") for part in parts]
        return native_calls.Norm(*map(at, vectors))

    def _vector(self, modules: Modules, name: str) -> Tensor:
        vector = _tensor(modules, name).float().clone().contiguous()
        self._slots.append(_Slot((name,), vector))
        return vector

    def _constant(self, table: Tensor | None) -> int | None:
        """A table that depends on the config alone; layers share it."""
        if table is None:
            return None
        if table.data_ptr() not in self._constants:
            self._constants[table.data_ptr()] = table.detach().float().clone().contiguous()
        return at(self._constants[table.data_ptr()])


def _tensor(modules: Modules, name: str) -> Tensor:
    """A parameter or buffer by its path."""
    path, _, last = name.rpartition(".")
    return cast(Tensor, getattr(modules[path], last)).detach()


def _matrix_sources(modules: Modules, names: tuple[str, ...]) -> tuple[Tensor, Tensor | None]:
    """The weights of linear layers one below the other, and their biases."""
    linears = [cast(nn.Linear, modules[name]) for name in names]
    weights = [linear.weight.detach() for linear in linears]
    biases = [linear.bias.detach() for linear in linears if linear.bias is not None]
    if len(linears) == 1:
        return weights[0], biases[0] if biases else None
    return torch.cat(weights), torch.cat(biases) if biases else None


def _sources(modules: Modules, slot: _Slot) -> Iterator[Tensor]:
    """Every tensor that a slot is packed from."""
    if isinstance(slot.packed, Tensor):
        yield _tensor(modules, slot.names[0])
        return
    for name in slot.names:
        linear = cast(nn.Linear, modules[name])
        yield linear.weight
        if linear.bias is not None:
            yield linear.bias
