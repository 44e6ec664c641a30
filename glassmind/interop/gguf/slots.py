"""Which tensor of a GGUF is which parameter of ours, and how each is converted to the other.

llama.cpp gives the same part the same name in every architecture, so one table of names suffices.
Conversions are exact rearrangements, each defined together with its inverse: rows in another order
(RoPE pairs), three matrices in one, a matrix split into one small matrix per head. The list is
made from the model, not from the file, so it says which tensors the file must have.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from glassmind.interop.gguf.architectures import ARCHITECTURES
from glassmind.model import ModelConfig, Transformer

_OUTSIDE = {
    "embed": "token_embd",
    "embedding_norm": "token_embd_norm",
    "absolute_positions.table": "position_embd.weight",
    "final_norm": "output_norm",
    "unembed": "output",
}
_IN_BLOCK = {
    "attention_norm": "attn_norm",
    "attention_out_norm": "post_attention_norm",
    "feed_forward_norm": "ffn_norm",
    "feed_forward_out_norm": "post_ffw_norm",
    "attention.query": "attn_q",
    "attention.key": "attn_k",
    "attention.value": "attn_v",
    "attention.output": "attn_output",
    "attention.query_norm": "attn_q_norm",
    "attention.key_norm": "attn_k_norm",
    "feed_forward.up": "ffn_up",
    "feed_forward.gate": "ffn_gate",
    "feed_forward.down": "ffn_down",
    "feed_forward.router": "ffn_gate_inp",
    "feed_forward.router.balance": "exp_probs_b.bias",
    "feed_forward.shared.up": "ffn_up_shexp",
    "feed_forward.shared.gate": "ffn_gate_shexp",
    "feed_forward.shared.down": "ffn_down_shexp",
}
_EXPERTS = {f"feed_forward.{part}": f"ffn_{part}_exps.weight" for part in ("up", "gate", "down")}
_LATENT = {
    "attention.query_norm": "attn_q_a_norm",
    "attention.query_down": "attn_q_a",
    "attention.latent_down": "attn_kv_a_mqa",
    "attention.latent_norm": "attn_kv_a_norm",
    "attention.key": "attn_k_b",
    "attention.value": "attn_v_b",
}
_FUSED = ("attention.query", "attention.key", "attention.value")


@dataclass(frozen=True)
class Slot:
    """One tensor of the file. ``theirs`` is its name there, ``ours`` are the parameters in it.

    ``pack`` computes it from the parameters, ``unpack`` the parameters from it.
    """

    theirs: str
    ours: tuple[str, ...]
    pack: Callable[[list[Tensor]], Tensor]
    unpack: Callable[[Tensor], list[Tensor]]


def slots(model: Transformer, architecture: str) -> list[Slot]:
    """Every tensor of a file with ``model``, in the order of its parameters.

    The model may be without weights (on the ``meta`` device).
    """
    row, config = ARCHITECTURES[architecture], model.config
    found: list[Slot] = []
    for ours, _ in model.named_parameters():
        part, _, last = ours.rpartition(".")
        theirs = _name(ours, config)
        if row.fused and part.endswith(_FUSED):
            if part.endswith(_FUSED[0]):
                block = part.removesuffix(_FUSED[0])
                parts = tuple(f"{block}{one}.{last}" for one in _FUSED)
                found.append(Slot(theirs.replace("attn_q", "attn_qkv"), parts, torch.cat, _thirds))
            continue
        pack, unpack = _rearrangement(part.partition(".attention.")[2], row.neighbours, config)
        found.append(Slot(theirs, (ours,), _only(pack), _listed(unpack)))
    return found


def _name(ours: str, config: ModelConfig) -> str:
    """The name that the parameter ``ours`` has in a GGUF."""
    prefix, inside, table = "", ours, dict(_OUTSIDE)
    if ours.startswith("blocks."):
        _, number, inside = ours.split(".", 2)
        prefix, table = f"blk.{number}.", dict(_IN_BLOCK)
        if config.attention.latent.kv_rank:
            table |= _LATENT
            if config.attention.latent.q_rank:
                table["attention.query"] = "attn_q_b"
        if config.layer(int(number)).experts:
            table |= _EXPERTS
    if inside in table:
        return prefix + table[inside]
    part, _, last = inside.rpartition(".")
    return f"{prefix}{table[part]}.{last}"


Rearrangement = Callable[[Tensor], Tensor]


def _rearrangement(
    part: str, neighbours: bool, config: ModelConfig
) -> tuple[Rearrangement, Rearrangement]:
    """For a matrix or bias of attention: functions from our order of rows to theirs, and back."""
    latent = config.attention.latent
    heads, width, kept = config.attention.n_heads, config.head_dim, 0
    if latent.kv_rank:
        if part in ("key", "value"):
            flip = part == "key"  # stored as it is multiplied with a query, not with a latent

            def split(x: Tensor) -> Tensor:
                x = x.view(heads, -1, latent.kv_rank)
                return x.transpose(1, 2) if flip else x

            def join(x: Tensor) -> Tensor:
                return (x.transpose(1, 2) if flip else x).reshape(-1, latent.kv_rank)

            return split, join
        if part not in ("query", "latent_down"):
            return _same, _same
        kept = latent.content_dim
        if part == "latent_down":  # one key that all heads share, below the latent
            heads, width, kept = 1, latent.kv_rank + latent.rope_dim, latent.kv_rank
    elif part == "key":
        heads = config.n_kv_heads
    elif part != "query":
        return _same, _same
    if not neighbours:
        return _same, _same

    def interleave(x: Tensor) -> Tensor:
        still, turned = x.view(heads, width, -1).split((kept, width - kept), dim=1)
        pairs = turned.unflatten(1, (2, -1)).transpose(1, 2).flatten(1, 2)
        return torch.cat((still, pairs), dim=1).view_as(x)

    def separate(x: Tensor) -> Tensor:
        still, pairs = x.view(heads, width, -1).split((kept, width - kept), dim=1)
        turned = pairs.unflatten(1, (-1, 2)).transpose(1, 2).flatten(1, 2)
        return torch.cat((still, turned), dim=1).view_as(x)

    return interleave, separate


def _same(x: Tensor) -> Tensor:
    return x


def _thirds(x: Tensor) -> list[Tensor]:
    return [part.clone() for part in x.chunk(3)]


def _only(rearrange: Rearrangement) -> Callable[[list[Tensor]], Tensor]:
    return lambda parts: rearrange(parts[0])


def _listed(rearrange: Rearrangement) -> Callable[[Tensor], list[Tensor]]:
    return lambda x: [rearrange(x)]
