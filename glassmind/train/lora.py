"""LoRA: train a small change to a large model instead of the whole model.

Hu et al. (2021, arXiv 2106.09685): the change that fine-tuning makes to a matrix W (out, in) has a
low rank, so it is written as a product of two thin matrices, and only these are trained:

    y = W x  +  (α / r) · B A x          A (r, in) random,  B (out, r) zero at first

With B = 0 the wrapped model computes the same as the original, to the bit. Instead of in · out
numbers per layer, r · (in + out) are trained, and the optimizer's state shrinks accordingly. In the
end the product is added to W (``remove_lora``), and the model costs no more than before.
``rank_stabilized`` scales by α/√r instead (Kalajdzievski 2023, arXiv 2312.03732), so that a larger
rank does not learn more slowly.

W itself may be stored in four or eight bits, since it is only read (QLoRA, Dettmers et al. 2023,
arXiv 2305.14314; ``model.quantized``).

    objective = SupervisedFineTuning(model)
    add_lora(objective.module, LoraConfig(rank=8))      # any objective, before its Trainer is made
    ...
    remove_lora(model)                                  # merged: plain layers again
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glassmind.errors import UserError
from glassmind.model import Transformer
from glassmind.model.quantized import QuantizedLinear
from glassmind.runs.recipe import EVERY_LAYER, LoraConfig


class LoraLinear(nn.Module):
    """A frozen layer ``base`` and a trained low-rank change; see the equation above."""

    def __init__(
        self, base: nn.Linear | QuantizedLinear, rank: int, scale: float, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.base, self.scale, self.dropout = base, scale, dropout
        self.in_features, self.out_features = base.in_features, base.out_features
        device = base.weight.device
        self.lora_a = nn.Parameter(torch.empty(rank, base.in_features, device=device))
        self.lora_b = nn.Parameter(torch.zeros(base.out_features, rank, device=device))
        # Uniform with variance 1 / (3 in), as in Hu et al. and PEFT.
        nn.init.kaiming_uniform_(self.lora_a, a=math.sqrt(5))
        base.requires_grad_(False)

    def delta(self) -> Tensor:
        """The change of the weight, (out, in): scale · B A."""
        return self.scale * (self.lora_b @ self.lora_a)

    @property
    def weight(self) -> Tensor:
        """The weight in effect, for code that reads weights instead of calling the layer."""
        return self.base.weight + self.delta()

    @property
    def bias(self) -> Tensor | None:
        return self.base.bias

    def forward(self, x: Tensor) -> Tensor:
        """(…, in) -> (…, out)."""
        out: Tensor = self.base(x)
        dropped = F.dropout(x, self.dropout, self.training) if self.dropout else x
        return out + self.scale * F.linear(F.linear(dropped, self.lora_a), self.lora_b)

    @torch.no_grad()
    def plain(self) -> nn.Linear:
        """An ordinary layer that computes the same."""
        base = self.base.to_linear() if isinstance(self.base, QuantizedLinear) else self.base
        base.weight += self.delta()
        return base


def add_lora(module: nn.Module, config: LoraConfig) -> list[str]:
    """Freeze the transformers in ``module`` and wrap their layers ``config.targets``.

    ``module`` is a ``Transformer`` or has some inside (a ``TokenScorer``'s trunk): only in these
    are layers wrapped; heads above them stay trainable. Targets are the names that linear layers
    have inside a block, or the word that stands for all of them. With ``config.base`` other than
    ``"float"`` all linear layers of the blocks are quantized. Random numbers come from PyTorch's
    global generator. Returns the names of the wrapped layers.

    Raises:
        UserError: there is no such layer, or the rank is too large for one.
    """
    if config.rank < 1:
        raise UserError(f"lora.rank must be at least 1, not {config.rank}")
    wrapped: list[str] = []
    for prefix, transformer in _transformers(module):
        layers = dict(_linears(transformer))
        known = sorted({name.rpartition(".")[2] for name in layers})
        targets = set(known) if EVERY_LAYER in config.targets else set(config.targets)
        for target in config.targets:
            if target not in known and target != EVERY_LAYER:
                raise UserError(
                    f"lora.targets names {target!r}, and the model's blocks have no such layer; "
                    f"they have {', '.join(known)}, and {EVERY_LAYER!r} means all of them"
                )
        for name, layer in layers.items():
            smaller = min(layer.in_features, layer.out_features)
            if name.rpartition(".")[2] in targets and config.rank > smaller:
                raise UserError(
                    f"lora.rank {config.rank} is more than {name} has: its matrix is "
                    f"{layer.out_features} by {layer.in_features}, so at most {smaller}"
                )
        transformer.requires_grad_(False)
        scale = config.alpha / (math.sqrt(config.rank) if config.rank_stabilized else config.rank)
        for name in list(layers):
            layer = layers.pop(name)  # so that its memory is freed once it is quantized
            base = layer if config.base == "float" else QuantizedLinear(layer, config.base)
            if name.rpartition(".")[2] in targets:
                wrapped.append(prefix + name)
                _replace(transformer, name, LoraLinear(base, config.rank, scale, config.dropout))
            else:
                _replace(transformer, name, base)
    return wrapped


def lora_layers(module: nn.Module) -> dict[str, LoraLinear]:
    """The wrapped layers by name."""
    return {name: layer for name, layer in module.named_modules() if isinstance(layer, LoraLinear)}


def remove_lora(module: nn.Module) -> None:
    """Merge permanently: every wrapped or quantized layer becomes an ordinary one again."""
    for name, layer in lora_layers(module).items():
        _replace(module, name, layer.plain())
    for name, layer in list(module.named_modules()):
        if isinstance(layer, QuantizedLinear):
            _replace(module, name, layer.to_linear())


def factors(module: nn.Module) -> dict[str, tuple[Tensor, Tensor]]:
    """A (r, in) and B (out, r) of every wrapped layer, by its name."""
    return {
        name: (layer.lora_a.detach(), layer.lora_b.detach())
        for name, layer in lora_layers(module).items()
    }


def _transformers(module: nn.Module) -> Iterator[tuple[str, Transformer]]:
    """The transformers in ``module`` with the prefix of their parameters' names."""
    for name, inner in module.named_modules():
        if isinstance(inner, Transformer):
            yield f"{name}." if name else "", inner


def _linears(transformer: Transformer) -> list[tuple[str, nn.Linear]]:
    """The linear layers of the blocks. (The output layer may be the embedding itself.)"""
    return [
        (name, layer)
        for name, layer in transformer.named_modules()
        if isinstance(layer, nn.Linear) and name.startswith("blocks.")
    ]


def _replace(module: nn.Module, name: str, layer: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    setattr(module.get_submodule(parent), last, layer)
